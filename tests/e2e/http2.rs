//! Clients that speak HTTP/2 by prior knowledge, on the port on which others speak HTTP/1.

use bytes::Bytes;
use h2::Reason;

use crate::support::http2::{DATA, END_HEADERS, Frames, HEADERS, Http2, RST_STREAM, frame};
use crate::support::{AccessLog, Client, Sluicegate, Upstream, nothing_comes, permits_are_all_back, soon};

#[tokio::test]
async fn both_versions_are_spoken_on_one_port() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let asked = client.post("/a%2Fb?c=d", &[("x-own", "1"), ("te", "trailers")], b"hello").await;
    let mut call = soon("the request", upstream.next()).await;
    assert_eq!(call.head.start, "POST /a%2Fb?c=d HTTP/1.1");
    assert_eq!(call.head.field("host").as_deref(), Some(&*gate.address.to_string()));
    assert_eq!(call.head.field("via").as_deref(), Some("2.0 sluicegate"));
    assert_eq!(call.head.field("x-own").as_deref(), Some("1"));
    assert_eq!(call.head.field("te").as_deref(), Some("trailers"));
    assert_eq!(call.body().await.unwrap().text(), "hello");
    call.respond_with(201, &[("x-theirs", "2"), ("connection", "x-hop"), ("x-hop", "3")], "made").await;
    let answer = asked.answer().await;
    assert_eq!((answer.head.status().as_u16(), &answer.body[..]), (201, &b"made"[..]));
    assert_eq!((answer.field("x-theirs"), answer.field("x-hop"), answer.field("connection")), (Some("2"), None, None));

    let mut old = gate.get("/old").await;
    soon("the other request", upstream.next()).await.respond(200, "old").await;
    assert_eq!(old.answer().await.body.text(), "old");
    permits_are_all_back(&gate, &mut upstream, 3).await;
}

#[tokio::test]
async fn a_preface_in_pieces_is_one() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    for cut in [1, 4, 15, 18, 23] {
        let stream = std::net::TcpStream::connect(gate.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let whole = crate::support::http2::PREFACE;
        std::io::Write::write_all(&mut &stream, &whole[..cut]).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let head = crate::support::http2::frame(1, 5, 1, crate::support::http2::GET);
        std::io::Write::write_all(&mut &stream, &[&whole[cut..], &head].concat()).unwrap();
        soon("the request", upstream.next()).await.respond(200, "").await;
    }
}

#[tokio::test]
async fn the_streams_of_one_connection_hold_the_limit_and_take_their_turns() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(3).queue(10).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let mut asked = Vec::new();
    for n in 0..10 {
        asked.push(client.get(&format!("/{n}")).await);
    }
    let mut calls = Vec::new();
    for n in 0..10 {
        if calls.len() == 3 {
            assert!(nothing_comes(upstream.next()).await, "more than 3 are inside");
            let call: crate::support::Call = calls.remove(0);
            call.respond(200, "done").await;
        }
        let call = soon("the next in line", upstream.next()).await;
        assert_eq!(call.path(), format!("/{n}"), "arrival order is admission order");
        calls.push(call);
    }
    for call in calls {
        call.respond(200, "done").await;
    }
    for asked in asked {
        assert_eq!(asked.answer().await.body, "done");
    }
    assert_eq!(upstream.peak(), 3);
    permits_are_all_back(&gate, &mut upstream, 3).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_while_it_waits_leaves_the_queue() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let holder = client.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    for body in [false, true] {
        let mut waiter = client.ask(client.request("POST", "/waiter", &[]), !body).await;
        assert!(waiter.hears_nothing().await);
        if body {
            waiter.body.send_data(Bytes::from_static(b"part"), false).unwrap();
        }
        client.get("/too-many").await.answer().await.expect(503, "queue_full");
        waiter.cancel();
    }
    let next = gate.waiting_soon("/next").await;
    call.respond(200, "").await;
    holder.answer().await;
    soon("the next in line", upstream.next()).await.respond(200, "").await;
    drop(next);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_connection_that_ends_takes_its_waiters_and_its_running_requests_with_it() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(2).in_front_of(&upstream).await;
    for _ in 0..3 {
        let client = Http2::connect(gate.address).await;
        let _running = client.get("/running").await;
        let mut call = soon("the running request", upstream.next()).await;
        let mut waiting = client.get("/waiting").await;
        assert!(waiting.hears_nothing().await);
        drop(client);
        // The upstream is told, and holds the permit until it has ended.
        soon("word of it", call.until_hung_up()).await;
        let next = gate.waiting_soon("/next").await;
        call.close();
        soon("the next in line", upstream.next()).await.respond(200, "").await;
        drop(next);
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_while_it_runs_is_an_end_for_the_upstream_and_not_for_its_neighbours() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(2).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let stays = client.get("/stays").await;
    let call = soon("the one that stays", upstream.next()).await;

    // Before the head.
    let leaves = client.get("/leaves").await;
    let mut left = soon("the one that leaves", upstream.next()).await;
    leaves.cancel();
    soon("word of it", left.until_hung_up()).await;
    let mut next = gate.waiting("/next").await;
    left.close();
    soon("the permit", upstream.next()).await.respond(200, "").await;
    next.answer().await;

    // In the middle of a body.
    let leaves = client.get("/leaves").await;
    let mut left = soon("the one that leaves", upstream.next()).await;
    left.start_streaming(&[]).await;
    left.chunk("begun").await.unwrap();
    let (response, mut send) = leaves.head().await.unwrap();
    send.send_reset(Reason::CANCEL);
    drop(response);
    soon("word of it", left.until_hung_up()).await;
    left.close();

    call.respond(200, "stayed").await;
    assert_eq!(stays.answer().await.body, "stayed");
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_reset_and_never_an_end() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let asked = client.get("/").await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    call.chunk("half").await.unwrap();
    call.close();
    let error = asked.try_answer().await.expect_err("it broke off");
    assert!(error.is_reset() && error.is_remote(), "{error}");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_failed_upload_never_looks_complete_upstream() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    for fields in [&[][..], &[("content-length", "100")][..]] {
        let mut asked = client.ask(client.request("POST", "/", fields), false).await;
        let mut call = soon("the request", upstream.next()).await;
        asked.body.send_data(Bytes::from_static(b"half"), false).unwrap();
        assert_eq!(call.piece().await.unwrap().as_deref(), Some(&b"half"[..]));
        asked.cancel();
        assert!(soon("the end", call.body()).await.is_err(), "a cut upload looked complete");
        call.close();
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_reset_without_an_error_is_no_end_of_an_upload() {
    for finish in [false, true] {
        let mut upstream = Upstream::start().await;
        let setup = Sluicegate::with_limit(1);
        let setup = if finish { setup.route("on_client_gone = \"finish\"") } else { setup };
        let gate = setup.in_front_of(&upstream).await;
        let mut frames = Frames::connect(gate.address).await;
        // A POST: the second entry of the static table that is a method.
        frames.send(&frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84\x41\x01a")).await;
        frames.send(&frame(DATA, 0, 1, b"half")).await;
        let mut call = soon("the request", upstream.next()).await;
        assert_eq!(call.piece().await.unwrap().as_deref(), Some(&b"half"[..]));
        let last = [frame(DATA, 0, 1, b"more"), frame(RST_STREAM, 0, 1, &[0; 4])].concat();
        frames.send(&last).await;
        assert!(soon("the end", call.body()).await.is_err(), "a cut upload looked complete");
        call.close();
        permits_are_all_back(&gate, &mut upstream, 1).await;
    }
}

#[tokio::test]
async fn a_drain_delivers_what_a_slow_reader_has_not_taken() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let asked = client.get("/").await;
    let call = soon("the request", upstream.next()).await;
    let answer = tokio::spawn(call.respond(200, vec![b'x'; 300_000]));
    let (response, _body) = asked.head().await.unwrap();
    gate.terminate();
    let mut stream = response.into_body();
    let (mut received, mut unreleased) = (0, 0);
    while let Some(data) = soon("more of it", stream.data()).await {
        let data = data.expect("it is not cut");
        received += data.len();
        unreleased += data.len();
        if unreleased > 60_000 {
            tokio::time::sleep(std::time::Duration::from_millis(1300)).await;
            stream.flow_control().release_capacity(std::mem::take(&mut unreleased)).unwrap();
        }
    }
    assert_eq!(received, 300_000);
    answer.await.unwrap();
    assert_eq!(gate.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_drain_says_goaway_and_finishes_what_runs_and_waits() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(5).in_front_of(&upstream).await;
    let mut idle = Http2::connect(gate.address).await;
    let mut client = Http2::connect(gate.address).await;
    let running = client.get("/running").await;
    let call = soon("the running request", upstream.next()).await;
    let mut waiting = client.get("/waiting").await;
    assert!(waiting.hears_nothing().await);
    gate.terminate();
    idle.ended().await.expect("an orderly end");
    call.respond(200, "ran").await;
    soon("the waiter", upstream.next()).await.respond(200, "waited").await;
    assert_eq!(running.answer().await.body, "ran");
    assert_eq!(waiting.answer().await.body, "waited");
    client.ended().await.expect("an orderly end");
    assert_eq!(gate.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_request_that_a_drain_cuts_is_lost_and_a_begun_stream_is_not() {
    for (begun, code) in [(false, 1), (true, 0)] {
        let mut upstream = Upstream::start().await;
        let log = AccessLog::new(&format!("http2-drain-cut-{begun}"));
        let server = format!("drain_timeout = \"200ms\"\n{}", log.table());
        let gate = Sluicegate::with_limit(1).server(&server).in_front_of(&upstream).await;
        let client = Http2::connect(gate.address).await;
        let asked = client.get("/").await;
        let mut call = soon("the request", upstream.next()).await;
        let mut response = None;
        if begun {
            call.start_streaming(&[]).await;
            call.chunk("begun").await.unwrap();
            response = Some(asked.head().await.unwrap());
        }
        gate.terminate();
        assert_eq!(gate.exit_code().await, Some(code), "begun: {begun}");
        drop(response);
        assert_eq!(log.about("/", 1).await[0]["reason"], "drain_cut", "begun: {begun}");
    }
}

#[tokio::test]
async fn what_is_no_preface_is_no_http2() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    for bytes in ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "PRI / HTTP/2.0\r\n\r\n", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"] {
        let mut client = Client::connect(gate.address).await;
        client.send(bytes).await;
        client.answer().await.expect(400, "bad_request");
    }
}
