//! What one HTTP/2 connection may cost.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::support::http2::{
    Asked, END_HEADERS, END_STREAM, Frames, GET, GOAWAY, HEADERS, Http2, RST_STREAM, SETTINGS, frame,
};
use crate::support::{Sluicegate, Upstream, permits_are_all_back, soon, until};

#[tokio::test]
async fn a_connection_says_what_it_takes() {
    let upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).server("h2_max_streams = 7").in_front_of(&upstream).await;
    let mut frames = Frames::connect(gate.address).await;
    let (_, _, _, settings) = frames.until(SETTINGS).await.expect("its settings");
    let value = |id: u8| {
        let entry = settings.chunks(6).find(|entry| entry[..2] == [0, id])?;
        Some(u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))
    };
    // Streams at once, the window of each, and the size of a head.
    assert_eq!((value(3), value(6)), (Some(7), Some(64 << 10)));
    assert!(value(4).is_none_or(|window| window <= 64 << 10), "{settings:?}");
}

#[tokio::test]
async fn more_streams_than_may_be_are_refused_and_the_rest_goes_on() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(10).server("h2_max_streams = 2").in_front_of(&upstream).await;
    let mut frames = Frames::connect(gate.address).await;
    for stream in [1, 3, 5] {
        frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, GET)).await;
    }
    let (_, _, stream, reason) = frames.until(RST_STREAM).await.expect("a refusal");
    assert_eq!((stream, &reason[..]), (5, &7u32.to_be_bytes()[..]), "REFUSED_STREAM");
    for _ in 0..2 {
        soon("a request", upstream.next()).await.respond(200, "").await;
    }
    assert_eq!(frames.until(HEADERS).await.map(|frame| frame.1 & END_HEADERS), Some(END_HEADERS));
    permits_are_all_back(&gate, &mut upstream, 10).await;
}

#[tokio::test]
async fn a_client_that_resets_all_that_it_asks_for_is_told_to_go() {
    // Each is admitted before it is reset: h2's own bound, on those that never were, does not see them.
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(10_000).in_front_of(&upstream).await;
    // The library counts its own resets as well.
    let mut client = Http2::with(gate.address, h2::client::Builder::new().max_local_error_reset_streams(None)).await;
    let stays = client.get("/stays").await;
    let call = soon("the one that stays", upstream.next()).await;
    let mut taken = 0;
    let start = Instant::now();
    while let Ok(asked) = client.try_ask(client.request("GET", "/", &[]), true).await {
        assert!(start.elapsed() < Duration::from_secs(30), "{taken} were taken");
        let Ok(mut call) = tokio::time::timeout(Duration::from_millis(500), upstream.next()).await else { break };
        taken += 1;
        asked.cancel();
        soon("word of it", call.until_hung_up()).await;
        call.close();
    }
    assert!((1000..3000).contains(&taken), "it was told to go after {taken}");
    // What it did not take back is served.
    call.respond(200, "stayed").await;
    assert_eq!(stays.answer().await.body, "stayed");
    client.ended().await.expect("an orderly end");
}

#[tokio::test]
async fn a_client_that_resets_what_waits_with_an_open_body_is_told_to_go() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(1000).admin().in_front_of(&upstream).await;
    let holder = gate.get("/holder").await;
    let call = soon("the holder", upstream.next()).await;
    let client = Http2::with(gate.address, h2::client::Builder::new().max_local_error_reset_streams(None)).await;
    let mut taken = 0;
    let mut told = false;
    while !told {
        assert!(taken < 5000, "it was never told to go");
        let mut batch = Vec::new();
        // h2 lets go of a client that has more than 20 reset before they were accepted.
        for _ in 0..15 {
            match client.try_ask(client.request("POST", "/", &[]), false).await {
                Ok(asked) => batch.push(asked),
                Err(_) => told = true,
            }
        }
        taken += batch.len();
        let waiting = async |n: usize| gate.limit_status().await["queue_length"] == n;
        let asked = batch.len();
        let all = until("all of them to wait", async || waiting(asked).await);
        // Those that are sent across its word to go are not taken.
        told = told || tokio::time::timeout(Duration::from_secs(2), all).await.is_err();
        batch.into_iter().for_each(Asked::cancel);
        until("all of them to have left", async || waiting(0).await).await;
    }
    assert!(taken >= 1000, "it was told to go after {taken}");
    call.respond(200, "").await;
    drop(holder);
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_grpc_call_has_its_silences_once_it_has_begun() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(2).server("body_idle_timeout = \"200ms\"");
    let gate = setup.in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let grpc = &[("content-type", "application/grpc")][..];
    let mut asked = client.ask(client.request("POST", "/", grpc), false).await;
    asked.body.send_data(Bytes::from_static(b"subscribe"), false).unwrap();
    let call = soon("the request", upstream.next()).await;
    let never_begun = client.ask(client.request("POST", "/", grpc), false).await;
    let never = soon("the other request", upstream.next()).await;
    never_begun.answer().await.expect(200, "request_timeout");
    never.close();
    tokio::time::sleep(Duration::from_millis(500)).await;
    call.respond(200, "an event").await;
    assert_eq!(asked.answer().await.body, "an event");
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn a_reader_without_window_is_cut_and_its_neighbour_is_not() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(2).server("write_idle_timeout = \"300ms\"");
    let gate = setup.in_front_of(&upstream).await;
    let client = Http2::with(gate.address, h2::client::Builder::new().initial_window_size(1000)).await;
    let stuck = client.get("/stuck").await;
    let call = soon("the one that is stuck", upstream.next()).await;
    let answer = tokio::spawn(call.respond(200, vec![b'x'; 1 << 20]));
    let (_response, _body) = stuck.head().await.unwrap();
    let quiet = client.get("/quiet").await;
    let quiet_call = soon("its neighbour", upstream.next()).await;
    // The permit of the one that takes nothing comes back.
    let mut next = gate.waiting("/next").await;
    soon("the permit", upstream.next()).await.respond(200, "").await;
    next.answer().await;
    answer.abort();
    // An upstream that is slow is not the client's fault.
    quiet_call.respond(200, "slow").await;
    assert_eq!(quiet.answer().await.body, "slow");
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn a_reader_without_window_for_the_connection_is_cut() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).queue(1).server("write_idle_timeout = \"300ms\"");
    let gate = setup.in_front_of(&upstream).await;
    // It reads nothing at all: neither frames nor windows move.
    let mut frames = Frames::connect(gate.address).await;
    let window = [&[0, 4][..], &(1u32 << 30).to_be_bytes()].concat();
    frames.send(&frame(SETTINGS, 0, 0, &window)).await;
    frames.send(&frame(8, 0, 0, &(1u32 << 30).to_be_bytes())).await;
    frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)).await;
    let call = soon("the request", upstream.next()).await;
    let answer = tokio::spawn(call.respond(200, vec![b'x'; 64 << 20]));
    let mut next = gate.get("/next").await;
    soon("the permit", upstream.next()).await.respond(200, "").await;
    assert_eq!(next.answer().await.status, 200);
    answer.abort();
}

#[tokio::test]
async fn a_slow_reader_is_not_cut_however_large_the_pieces_that_the_upstream_sends() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).server("write_idle_timeout = \"300ms\"");
    let gate = setup.in_front_of(&upstream).await;
    let client = Http2::with(gate.address, h2::client::Builder::new().initial_window_size(16 << 10)).await;
    let asked = client.get("/").await;
    let call = soon("the request", upstream.next()).await;
    let answer = tokio::spawn(call.respond(200, vec![b'x'; 400 << 10]));
    let (response, _body) = asked.head().await.unwrap();
    let mut stream = response.into_body();
    let mut received = 0;
    while let Some(data) = soon("more of it", stream.data()).await {
        let data = data.expect("it is not cut");
        received += data.len();
        // All of it takes far longer than the timeout.
        tokio::time::sleep(Duration::from_millis(60)).await;
        stream.flow_control().release_capacity(data.len()).unwrap();
    }
    assert_eq!(received, 400 << 10);
    answer.await.unwrap();
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn the_last_of_an_answer_is_timed_too() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(2).server("write_idle_timeout = \"300ms\"");
    let gate = setup.in_front_of(&upstream).await;
    let client = Http2::with(gate.address, h2::client::Builder::new().initial_window_size(1)).await;
    let quiet = client.get("/quiet").await;
    let quiet_call = soon("its neighbour", upstream.next()).await;
    let stuck = client.get("/stuck").await;
    soon("the one that is stuck", upstream.next()).await.respond(200, "two").await;
    let (response, _body) = stuck.head().await.unwrap();
    let mut stream = response.into_body();
    assert_eq!(soon("the first byte", stream.data()).await.unwrap().unwrap(), "t");
    let error = soon("a reset", stream.data()).await.unwrap().expect_err("it takes no more");
    assert!(error.is_reset() && error.is_remote(), "{error}");
    quiet_call.respond(200, "").await;
    quiet.answer().await;
    permits_are_all_back(&gate, &mut upstream, 2).await;
}

#[tokio::test]
async fn bodies_that_nobody_reads_keep_no_other_from_being_sent() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(10).server("body_idle_timeout = \"500ms\"");
    let gate = setup.in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        let mut asked = client.ask(client.request("POST", "/unread", &[]), false).await;
        asked.body.send_data(Bytes::from(vec![b'x'; 32 << 20]), false).unwrap();
        unread.push((asked, soon("one that is not read", upstream.next()).await));
    }
    let asked = client.post("/read", &[], b"hello").await;
    let mut call = soon("one that is read", upstream.next()).await;
    assert_eq!(soon("its body", call.body()).await.unwrap().text(), "hello");
    call.respond(200, "").await;
    assert_eq!(asked.answer().await.head.status(), 200);
    drop(unread);
}

#[tokio::test]
async fn a_conversation_has_its_silences() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).server("body_idle_timeout = \"200ms\"");
    let gate = setup.in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let asked = client.ask(client.request("POST", "/", &[]), false).await;
    let mut call = soon("the request", upstream.next()).await;
    call.start_streaming(&[]).await;
    let (response, mut body) = asked.head().await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    body.send_data(Bytes::from_static(b"at last"), true).unwrap();
    assert_eq!(soon("its word", call.body()).await.unwrap().text(), "at last");
    call.chunk("heard").await.unwrap();
    call.finish().await;
    let mut stream = response.into_body();
    assert_eq!(soon("the answer", stream.data()).await.unwrap().unwrap(), "heard");
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_late() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).server("body_idle_timeout = \"200ms\"");
    let gate = setup.in_front_of(&upstream).await;
    let client = Http2::connect(gate.address).await;
    let mut asked = client.ask(client.request("POST", "/", &[]), false).await;
    asked.body.send_data(Bytes::from_static(b"part"), false).unwrap();
    let mut call = soon("the request", upstream.next()).await;
    let other = client.get("/other").await;
    asked.answer().await.expect(408, "request_timeout");
    assert!(soon("the end", call.body()).await.is_err(), "a cut upload looked complete");
    call.close();
    soon("the neighbour", upstream.next()).await.respond(200, "").await;
    other.answer().await;
    permits_are_all_back(&gate, &mut upstream, 1).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let mut upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).server("idle_timeout = \"300ms\"");
    let gate = setup.in_front_of(&upstream).await;
    // It keeps saying that it is there, which is no request.
    let mut pings = Frames::connect(gate.address).await;
    let start = Instant::now();
    let mut ended = false;
    while !ended {
        assert!(start.elapsed() < Duration::from_secs(10), "it is open after {:?}", start.elapsed());
        let ping = frame(6, 0, 0, b"are you?");
        ended = tokio::io::AsyncWriteExt::write_all(&mut pings.0, &ping).await.is_err();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut client = Http2::connect(gate.address).await;
    let asked = client.get("/").await;
    let call = soon("the request", upstream.next()).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    call.respond(200, "late").await;
    assert_eq!(asked.answer().await.body, "late");
    client.ended().await.expect("an orderly end");
}

#[tokio::test]
async fn a_stalled_preface_ends_in_time() {
    let upstream = Upstream::start().await;
    let setup = Sluicegate::with_limit(1).server("header_timeout = \"200ms\"\nidle_timeout = \"400ms\"");
    let gate = setup.in_front_of(&upstream).await;
    for bytes in [&b"PRI * HT"[..], &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &crate::support::http2::PREFACE[..30]] {
        let mut client = crate::support::Client::connect(gate.address).await;
        client.send(bytes).await;
        client.rest().await;
    }
}

#[tokio::test]
async fn nonsense_ends_the_connection_and_says_so() {
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).in_front_of(&upstream).await;
    for nonsense in [frame(0, 0, 1, b"data of no stream"), frame(SETTINGS, 0, 1, b""), frame(HEADERS, 5, 2, GET)] {
        let mut frames = Frames::connect(gate.address).await;
        frames.send(&nonsense).await;
        assert!(frames.until(GOAWAY).await.is_some(), "{nonsense:?}");
        while frames.next().await.is_some() {}
    }
    permits_are_all_back(&gate, &mut upstream, 1).await;
}
