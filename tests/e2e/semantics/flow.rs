//! How messages pass: when, and in which pieces.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Pair;
use super::Speaks::{Http1, Http2 as H2};
use crate::support::http2::{Asked, Http2};
use crate::support::message::Framing;
use crate::support::quiet::alone;
use crate::support::{
    Call, Client, Http2Upstream, Sluicegate, StreamCall, Upstream, nothing_comes, one_of_three, soon,
};

const ALL: &[Pair] = super::ALL;

#[tokio::test]
async fn the_last_step_of_max_forwards_is_answered_here_and_takes_no_permit() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(0).in_front_of(&upstream).await;
    let mut holder = gate.get("/").await;
    let held = soon("the request", upstream.next()).await;
    for target in ["*", "/a", "http://a"] {
        let mut client = gate.client().await;
        for _ in 0..2 {
            client.request("OPTIONS", target, &["Max-Forwards: 0"]).await;
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.reason()), (204, None), "{target}");
        }
    }
    let http2 = Http2::connect(gate.address).await;
    let asked = http2.ask(http2.request("OPTIONS", "/", &[("max-forwards", "0")]), true).await;
    assert_eq!(asked.answer().await.head.status(), 204);
    assert_eq!(upstream.total(), 1);
    held.respond(200, "").await;
    holder.answer().await;
}

#[tokio::test]
async fn events_pass_one_by_one_over_every_pair() {
    for pair in ALL {
        let mut flow = Flow::start(*pair).await;
        for n in 0..5 {
            let event = format!("id: {n}\ndata: x\n\n");
            flow.send(&event).await;
            assert_eq!(flow.piece().await, event, "{pair:?}");
        }
    }
}

/// RFC 9110 §15.2: a 1xx that nobody asked for is ours to drop.
#[tokio::test]
async fn interim_answers_are_dropped_over_every_pair() {
    for (client, upstream) in ALL {
        let mut flow = Flow::begin((*client, *upstream)).await;
        match &mut flow.inside {
            Inside::Http1(call) => {
                let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
                call.send_raw(interim).await.unwrap();
            }
            Inside::Http2(call) => [103, 102].into_iter().for_each(|status| call.inform(status)),
        }
        // The head that comes is the real one, with nothing of the others in it.
        flow.answer_head().await;
        flow.send("x").await;
        assert_eq!(flow.piece().await, "x", "{client:?} {upstream:?}");
    }
}

/// RFC 9112 §9.3, RFC 9113 §8.1: an answer need not wait for its request's end.
#[tokio::test]
async fn an_answer_returns_while_its_request_goes_on_over_every_pair() {
    for (client, upstream) in ALL {
        let mut flow = Flow::begin((*client, *upstream)).await;
        flow.answer_head().await;
        flow.send("early").await;
        assert_eq!(flow.piece().await, "early", "{client:?} {upstream:?}");
        // And what is sent from then on still arrives.
        match &mut flow.outside {
            Outside::Http1(client, _) => client.send("4\r\nmore\r\n").await,
            Outside::Http2 { body, .. } => body.send_data(Bytes::from_static(b"more"), false).unwrap(),
        }
        let piece = match &mut flow.inside {
            Inside::Http1(call) => soon("the upload", call.piece()).await,
            Inside::Http2(call) => soon("the upload", call.piece()).await,
        };
        assert_eq!(piece.unwrap().as_deref(), Some(&b"more"[..]), "{client:?} {upstream:?}");
    }
}

/// A word of the upstream's is at its client within 5 ms.
#[tokio::test]
async fn an_event_is_at_its_client_within_5_ms() {
    const EVENTS: usize = 50;
    let _alone = alone();
    for pair in ALL {
        one_of_three(async || {
            let mut flow = Flow::start(*pair).await;
            let mut took = Vec::new();
            for _ in 0..EVENTS {
                let sent = Instant::now();
                flow.send("data: x\n\n").await;
                flow.piece().await;
                took.push(sent.elapsed());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            took.sort();
            match took[EVENTS * 9 / 10] {
                late if late > Duration::from_millis(5) => Err(format!("{pair:?}: nine of ten within {late:?}")),
                _ => Ok(()),
            }
        })
        .await;
    }
}

/// One request whose upload goes on, and its answer piece by piece.
struct Flow {
    inside: Inside,
    outside: Outside,
    _gate: Sluicegate,
    _upstream: Upstreams,
}

enum Inside {
    Http1(Call),
    Http2(StreamCall),
}

#[allow(clippy::large_enum_variant, reason = "there is one of them")]
enum Outside {
    Http1(Client, Framing),
    Http2 {
        asked: Option<h2::client::ResponseFuture>,
        body: h2::SendStream<Bytes>,
        stream: Option<h2::RecvStream>,
        _connection: Http2,
    },
}

enum Upstreams {
    Http1(#[expect(dead_code, reason = "it lives as long as the exchange")] Upstream),
    Http2(#[expect(dead_code, reason = "it lives as long as the exchange")] Http2Upstream),
}

impl Flow {
    /// With its head passed on.
    async fn start(pair: Pair) -> Self {
        let mut flow = Self::begin(pair).await;
        flow.answer_head().await;
        flow
    }

    /// With its request inside.
    async fn begin((client, upstream): Pair) -> Self {
        let (mut http1, mut http2) = (None, None);
        let setup = Sluicegate::with_limit(1);
        let gate = match upstream {
            Http1 => {
                let upstream = http1.insert(Upstream::start().await);
                setup.in_front_of(upstream).await
            }
            H2 => {
                let upstream = http2.insert(Http2Upstream::start().await);
                setup.in_front_of_url(&upstream.url()).await
            }
        };
        let outside = match client {
            Http1 => {
                let mut client = gate.client().await;
                client.request("POST", "/", &["Transfer-Encoding: chunked"]).await;
                Outside::Http1(client, Framing::Chunked)
            }
            H2 => {
                let connection = Http2::connect(gate.address).await;
                let asked = connection.ask(connection.request("POST", "/", &[]), false).await;
                let Asked { response, body } = asked;
                Outside::Http2 { asked: Some(response), body, stream: None, _connection: connection }
            }
        };
        let (inside, upstream) = match (http1, http2) {
            (Some(mut upstream), _) => {
                (Inside::Http1(soon("the request", upstream.next()).await), Upstreams::Http1(upstream))
            }
            (_, Some(mut upstream)) => {
                (Inside::Http2(soon("the request", upstream.next()).await), Upstreams::Http2(upstream))
            }
            (None, None) => unreachable!("one of them was started"),
        };
        Flow { inside, outside, _gate: gate, _upstream: upstream }
    }

    /// The upstream's head, which must return before anything follows it.
    async fn answer_head(&mut self) {
        let fields = [("content-type", "text/event-stream")];
        match &mut self.inside {
            Inside::Http1(call) => call.start_streaming(&fields).await,
            Inside::Http2(call) => call.start_streaming(&fields),
        }
        match &mut self.outside {
            Outside::Http1(client, _) => {
                let head = client.head().await;
                assert_eq!((head.status(), head.field("link")), (200, None));
            }
            Outside::Http2 { asked, stream, .. } => {
                let response = soon("the head", asked.take().expect("it has no head yet")).await.unwrap();
                assert_eq!((response.status().as_u16(), response.headers().get("link")), (200, None));
                *stream = Some(response.into_body());
            }
        }
        assert!(nothing_comes(self.piece()).await);
    }

    /// A piece of the upstream's.
    async fn send(&mut self, piece: &str) {
        match &mut self.inside {
            Inside::Http1(call) => call.chunk(piece).await.unwrap(),
            Inside::Http2(call) => call.chunk(piece).await.unwrap(),
        }
    }

    /// The next piece that the client gets.
    async fn piece(&mut self) -> String {
        let piece = match &mut self.outside {
            Outside::Http1(client, framing) => client.piece(framing).await.unwrap().expect("a piece"),
            Outside::Http2 { stream, .. } => {
                let stream = stream.as_mut().expect("it has a head");
                let data = soon("a piece", stream.data()).await.expect("a piece").unwrap();
                stream.flow_control().release_capacity(data.len()).unwrap();
                data.to_vec()
            }
        };
        String::from_utf8(piece).unwrap()
    }
}
