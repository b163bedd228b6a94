//! A client that leaves: every protocol, moment, `on_client_gone` and kind of upstream, in one table.
//!
//! What `abandoned.rs` and `leaving.rs` show in depth for single cases is held here for all of them: what the upstream
//! sees, when the permit is back, and that it is back once. A new moment or kind is a variant more.

use bytes::Bytes;

use crate::support::client::head_of;
use crate::support::http2::{Asked, Http2};
use crate::support::{Call, Client, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon, until};

/// When the client leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Queued,
    BeforeTheFirstByte,
    InMidAnswer,
    InMidUpload,
}

const MOMENTS: [Moment; 4] = [Moment::Queued, Moment::BeforeTheFirstByte, Moment::InMidAnswer, Moment::InMidUpload];

/// What the upstream does about it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Ends when it is told that nobody waits any more, where it is told.
    Heeds,
    /// Works on until it is done.
    WorksOn,
    /// Is never done.
    NeverEnds,
}

const KINDS: [Kind; 3] = [Kind::Heeds, Kind::WorksOn, Kind::NeverEnds];

/// `finish` tells nobody, unless the request can't be finished any more.
fn is_told(mode: &str, moment: Moment) -> bool {
    mode != "finish" || moment == Moment::InMidUpload
}

#[tokio::test]
async fn abort_keeps_the_permit_until_the_upstream_has_ended_or_the_grace_is_over() {
    all_cases("abort").await;
}

#[tokio::test]
async fn reset_gives_the_permit_back_at_once_whatever_the_upstream_does() {
    all_cases("reset").await;
}

#[tokio::test]
async fn finish_keeps_the_permit_until_the_upstream_has_ended_or_the_grace_is_over() {
    all_cases("finish").await;
}

async fn all_cases(mode: &'static str) {
    for kind in KINDS {
        // One that never ends is not waited for; of the others none is cut short.
        let grace = if kind == Kind::NeverEnds { "300ms" } else { "60s" };
        let route = format!("on_client_gone = \"{mode}\"\nabort_grace = \"{grace}\"");
        let mut upstream = Upstream::start().await;
        let gate = Sluicegate::with_limit(1).queue(2).route(&route).admin().in_front_of(&upstream).await;
        for moment in MOMENTS {
            for http2 in [false, true] {
                println!("{mode}, {kind:?}, {moment:?}, http2: {http2}");
                case(&gate, &mut upstream, Case { mode, kind, moment, http2 }).await;
                permits_are_all_back(&gate, &mut upstream, 1).await;
            }
        }
        assert_eq!(upstream.inside(), 0);
    }
}

struct Case {
    mode: &'static str,
    kind: Kind,
    moment: Moment,
    http2: bool,
}

async fn case(gate: &Sluicegate, upstream: &mut Upstream, Case { mode, kind, moment, http2 }: Case) {
    if moment == Moment::Queued {
        return queued(gate, upstream, http2).await;
    }
    let mut leaver = Leaver::ask(gate, moment == Moment::InMidUpload, http2).await;
    let mut call = soon("the request", upstream.next()).await;
    match moment {
        Moment::InMidUpload => assert_eq!(soon("a part", call.piece()).await.unwrap().unwrap(), b"part"),
        Moment::InMidAnswer => {
            call.start_streaming(&[]).await;
            call.chunk("part").await.unwrap();
            leaver.hears_a_part().await;
        }
        Moment::BeforeTheFirstByte | Moment::Queued => {}
    }
    assert_eq!(in_flight(gate).await, 1);
    let _connection = leaver.leave();

    if is_told(mode, moment) {
        match moment {
            Moment::InMidUpload => assert!(call.body().await.is_err(), "a cut upload is not a complete one"),
            _ => soon("the upstream to be told", call.until_hung_up()).await,
        }
    }
    if mode == "reset" {
        until("the permit to be back, although the upstream works on", async || in_flight(gate).await == 0).await;
        return call.close();
    }
    match kind {
        Kind::Heeds if is_told(mode, moment) => call.close(),
        Kind::Heeds | Kind::WorksOn => {
            if !is_told(mode, moment) {
                assert!(nothing_comes(call.until_hung_up()).await, "the upstream was told");
            }
            assert_eq!(in_flight(gate).await, 1, "the upstream works on");
            ends(call, moment).await;
        }
        Kind::NeverEnds => {
            assert_eq!(upstream.inside(), 1);
            until("the grace to be over", async || in_flight(gate).await == 0).await;
            soon("the connection to be reset", call.until_hung_up()).await;
            return call.close();
        }
    }
    until("the permit to be back", async || in_flight(gate).await == 0).await;
}

/// One that waits leaves the queue, and never reaches the upstream, whatever would happen then.
async fn queued(gate: &Sluicegate, upstream: &mut Upstream, http2: bool) {
    let waiting = async || gate.limit_status().await["queue_length"].as_u64().unwrap();
    let mut holder = gate.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    let leaver = Leaver::ask(gate, false, http2).await;
    until("it to wait", async || waiting().await == 1).await;
    let _connection = leaver.leave();
    until("it to have left", async || waiting().await == 0).await;
    call.respond(200, "").await;
    assert_eq!(holder.answer().await.status, 200);
    assert!(nothing_comes(upstream.next()).await, "somebody would have worked for the dead");
}

/// The upstream is done, as far as it can be.
async fn ends(call: Call, moment: Moment) {
    match moment {
        Moment::InMidAnswer => call.finish().await,
        _ => call.respond(200, "for nobody").await,
    }
}

async fn in_flight(gate: &Sluicegate) -> u64 {
    gate.limit_status().await["in_flight"].as_u64().expect("a number")
}

/// The client that is going to leave.
enum Leaver {
    Http1(Client),
    Http2(Http2, Asked),
    /// The rest of its answer.
    Listening(Http2, h2::RecvStream),
    Gone,
}

impl Leaver {
    /// Asks, and sends no more than a part of what it has announced, if it uploads.
    async fn ask(gate: &Sluicegate, uploads: bool, http2: bool) -> Self {
        if !http2 {
            let mut client = gate.client().await;
            match uploads {
                true => client.send(head_of("POST", "/leaver", &["Content-Length: 1000"]) + "part").await,
                false => client.get("/leaver").await,
            }
            return Leaver::Http1(client);
        }
        let client = Http2::connect(gate.address).await;
        let mut asked = match uploads {
            true => client.ask(client.request("POST", "/leaver", &[("content-length", "1000")]), false).await,
            false => client.get("/leaver").await,
        };
        if uploads {
            asked.body.send_data(Bytes::from_static(b"part"), false).expect("the stream is open");
        }
        Leaver::Http2(client, asked)
    }

    async fn hears_a_part(&mut self) {
        match std::mem::replace(self, Leaver::Gone) {
            Leaver::Http1(mut client) => {
                let mut framing = client.head().await.answer_framing("GET");
                assert_eq!(client.piece(&mut framing).await.unwrap().unwrap(), b"part");
                *self = Leaver::Http1(client);
            }
            Leaver::Http2(client, asked) => {
                let (answer, _) = asked.head().await.expect("a head");
                let mut body = answer.into_body();
                assert_eq!(soon("a part", body.data()).await.unwrap().unwrap(), "part");
                *self = Leaver::Listening(client, body);
            }
            Leaver::Listening(..) | Leaver::Gone => unreachable!("it hears a part once"),
        }
    }

    /// Over HTTP/1 by FIN, over HTTP/2 by taking the request back.
    #[must_use = "the connection of the request that was taken back stays"]
    fn leave(self) -> Option<Http2> {
        match self {
            Leaver::Http1(client) => {
                client.leave();
                None
            }
            Leaver::Http2(client, asked) => {
                asked.cancel();
                Some(client)
            }
            Leaver::Listening(client, body) => {
                drop(body);
                Some(client)
            }
            Leaver::Gone => None,
        }
    }
}
