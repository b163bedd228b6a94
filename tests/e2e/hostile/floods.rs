//! Floods: who sends much, or little for long, costs little memory, and others are served meanwhile.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::client::head_of;
use crate::support::http2::{DATA, END_HEADERS, GET, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame};
use crate::support::quiet::alone;
use crate::support::{Sluicegate, Upstream, soon, until};

const PRIORITY: u8 = 2;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// How much memory a flood may cost, of all its connections together.
const BOUND: u64 = 24 << 20;
/// Connections of each flood.
const CONNECTIONS: usize = 3;
/// What each of them sends at most.
const MOST: usize = 16 << 20;

/// A flood: what each of its connections begins with, and what it sends again and again.
fn floods() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let head = |flags: u8| frame(HEADERS, flags, 1, GET);
    // An entry of 4000 bytes in the table of HPACK, and a block that names it a thousand times.
    let entry = [b"\x40\x01x\x7f\xa1\x1e".as_slice(), &[b'y'; 4000]].concat();
    let bomb = [GET, &entry, &[0xbe; 1000]].concat();
    let line = b"\x00\x01x\x01y".repeat(1000);
    vec![
        ("PING", Vec::new(), frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", Vec::new(), frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])),
        ("empty SETTINGS", Vec::new(), frame(SETTINGS, 0, 0, b"")),
        ("PRIORITY", Vec::new(), frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 9])),
        ("WINDOW_UPDATE", head(END_HEADERS), frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("frames that nobody knows", Vec::new(), frame(0x42, 0, 0, &[0; 64])),
        ("CONTINUATION without an end", head(0), frame(CONTINUATION, 0, 1, &line)),
        ("empty CONTINUATION", head(0), frame(CONTINUATION, 0, 1, b"")),
        ("empty DATA", head(END_HEADERS), frame(DATA, 0, 1, b"")),
        ("padding", head(END_HEADERS), frame(DATA, 8, 1, &[&[255][..], &[0; 255]].concat())),
        ("RST_STREAM of what has ended", head(END_HEADERS), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])),
        ("a header bomb", frame(HEADERS, END_HEADERS, 1, &bomb), frame(HEADERS, END_HEADERS, 3, &bomb)),
        ("a head of HTTP/1 without an end", b"GET / HTTP/1.1\r\n".to_vec(), b"x: y\r\n".to_vec()),
        ("a line of HTTP/1 without an end", b"GET /".to_vec(), vec![b'x'; 1000]),
        ("empty lines", Vec::new(), b"\r\n".repeat(100)),
        ("requests behind a request", head_of("GET", "/", &[]).into(), head_of("GET", "/", &[]).into()),
    ]
}

#[tokio::test]
async fn a_flood_of_frames_costs_little_and_others_are_served() {
    let _alone = alone();
    // A flood's own requests wait behind it; they take no permit of the others'.
    let upstream = Upstream::that(|call| async move {
        match call.path() {
            "/good" => call.respond(200, "good").await,
            _ => std::future::pending().await,
        }
    })
    .await;
    let mut wrong = Vec::new();
    for (what, first, again) in floods() {
        let gate = Sluicegate::with_limit(1000).in_front_of(&upstream).await;
        let mut good = gate.client().await;
        let mut served = async || {
            let sent = Instant::now();
            good.get("/good").await;
            assert_eq!(good.answer().await.body.text(), "good", "{what}");
            sent.elapsed()
        };
        served().await;
        let before = gate.resident();
        let mut flood = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let preface = if again.starts_with(b"\0") { PREFACE } else { b"" };
            let start = [preface, &first].concat();
            flood.spawn(flow(gate.address, start, again.repeat((64 << 10) / again.len())));
        }
        let mut slowest = Duration::ZERO;
        for _ in 0..5 {
            slowest = slowest.max(served().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let grown = gate.resident().unwrap_or(0).saturating_sub(before.unwrap_or(0));
        if grown > BOUND {
            wrong.push(format!("{what}: {} KiB", grown >> 10));
        }
        if slowest > Duration::from_secs(1) {
            wrong.push(format!("{what}: others wait for {slowest:?}"));
        }
        flood.abort_all();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Sends as much as is taken, and reads nothing.
async fn flow(address: SocketAddr, start: Vec<u8>, again: Vec<u8>) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    let mut sent = 0;
    let mut sending = stream.write_all(&start).await;
    while sending.is_ok() && sent < MOST {
        sending = stream.write_all(&again).await;
        sent += again.len();
    }
    // It stays as long as it may.
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn hundreds_of_slow_clients_cost_little_and_are_shown_the_door() {
    const SLOW: usize = 300;
    let mut upstream = Upstream::start().await;
    let server = "header_timeout = \"1s\"\nbody_idle_timeout = \"1s\"\nidle_timeout = \"1s\"";
    let gate = Sluicegate::with_limit(1).queue(1000).server(server).in_front_of(&upstream).await;
    // The one permit is taken, so that bodies wait with their requests.
    let mut holder = gate.get("/holder").await;
    let held = soon("the holder", upstream.next()).await;
    let before = gate.resident();
    let mut slow = Vec::new();
    for n in 0..SLOW {
        let mut stream = TcpStream::connect(gate.address).await.unwrap();
        let start: &[u8] = match n % 4 {
            0 => b"",
            1 => b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ",
            2 => PREFACE,
            _ => &[PREFACE, &frame(HEADERS, 0, 1, GET)[..]].concat(),
        };
        stream.write_all(start).await.unwrap();
        slow.push(stream);
    }
    let grown = gate.resident().unwrap_or(0).saturating_sub(before.unwrap_or(0));
    assert!(grown < 64 * 1024 * SLOW as u64, "{} KiB each", (grown >> 10) / SLOW as u64);
    held.respond(200, "").await;
    holder.answer().await;
    // Others are served while they are there.
    let mut client = gate.get("/").await;
    soon("the request", upstream.next()).await.respond(200, "").await;
    client.answer().await;
    for mut stream in slow {
        soon("a slow client to be shown the door", stream.read_to_end(&mut Vec::new())).await.ok();
    }
    assert_eq!(upstream.total(), 2);
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_without_end_take_no_permit_with_them() {
    let upstream = Upstream::that_works_for(Duration::from_millis(1)).await;
    let gate = Sluicegate::with_limit(2).queue(10).in_front_of(&upstream).await;
    let mut flood = JoinSet::new();
    for _ in 0..4 {
        let address = gate.address;
        flood.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut sending = stream.write_all(PREFACE).await;
            let mut id = 1;
            while sending.is_ok() && id < 100_000 {
                let open = frame(HEADERS, END_HEADERS | 1, id, GET);
                sending = stream.write_all(&[open, frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()).await;
                id += 2;
            }
        });
    }
    let mut client = gate.client().await;
    while !flood.is_empty() {
        tokio::select! {
            ended = flood.join_next() => ended.expect("one is left").expect("it does not panic"),
            () = async { client.get("/").await; client.answer().await; } => {}
        }
    }
    // What is reset at once is hardly ever begun with, and who goes on so is thrown out.
    assert!(upstream.total() < 10_000, "{} of 200000 went upstream", upstream.total());
    assert!(upstream.peak() <= 2, "{} inside at limit 2", upstream.peak());
    until("nothing to be left inside", async || upstream.inside() == 0).await;
    let mut last = gate.get("/").await;
    assert_eq!(last.answer().await.status, 200);
}
