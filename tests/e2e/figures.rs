//! What waiting and idling cost, and how exactly a wait ends. Prints what it measures: `cargo test --release --test e2e figures -- --nocapture`.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::client::head_of;
use crate::support::quiet::alone;
use crate::support::{Sluicegate, Upstream, one_of_three, soon, until};

const WAITERS: usize = 5000;
/// With its connection, of which hyper's buffers are half.
const MOST: u64 = 20 << 10;
const IDLERS: usize = 5000;
const MOST_IDLE: u64 = 4 << 10;
/// What may be left once all of them are gone.
const LEFT: u64 = 10 << 20;

#[tokio::test]
async fn five_thousand_waiters_take_20_kib_each_at_most_and_leave_nothing() {
    let _alone = alone();
    if too_few_files(WAITERS) {
        return;
    }
    let mut upstream = Upstream::start().await;
    let gate = Sluicegate::with_limit(1).queue(WAITERS + 100).admin().in_front_of(&upstream).await;
    let _holder = gate.get("/holder").await;
    let _held = soon("the holder's request", upstream.next()).await;
    let fields = ["User-Agent: test/1.0", "Accept: */*", "X-Request-Id: 0123456789abcdef0123456789abcdef"];
    let request = head_of("GET", "/waits/here?for=a+while", &fields);
    let ask = || {
        let mut client = TcpStream::connect(gate.address).expect("it listens");
        client.write_all(request.as_bytes()).expect("a request fits into the socket's buffer");
        client
    };
    let wait_for = async |clients: &[TcpStream]| {
        let waiting = async || gate.limit_status().await["queue_length"] == clients.len();
        until("all of them to wait", waiting).await;
    };
    // What is allocated once has been allocated then.
    let mut clients: Vec<_> = std::iter::repeat_with(ask).take(100).collect();
    wait_for(&clients).await;
    let Some(before) = gate.resident() else {
        eprintln!("SKIPPED: this system does not show how much memory a process has");
        return;
    };
    clients.extend(std::iter::repeat_with(ask).take(WAITERS));
    wait_for(&clients).await;
    let each = (gate.resident().expect("as before") - before) / WAITERS as u64;
    println!("a waiter takes {:.1} KiB", each as f64 / 1024.0);
    assert!(each <= MOST, "{each} bytes");
    assert!(each > 4 << 10, "{each} bytes are too few to be true");
    drop(clients);
    // What is free goes back within ten seconds.
    until("the memory to go back", async || gate.resident().expect("as before") < before + LEFT).await;
}

#[tokio::test]
async fn an_idle_connection_takes_4_kib_at_most() {
    let _alone = alone();
    if too_few_files(IDLERS) {
        return;
    }
    let upstream = Upstream::that_works_for(Duration::ZERO).await;
    let gate = Sluicegate::with_limit(100).queue(IDLERS).in_front_of(&upstream).await;
    let mut clients = Vec::new();
    let mut before = None;
    for n in 0..IDLERS + 100 {
        if n == 100 {
            // What is allocated once has been allocated then.
            before = gate.resident();
        }
        clients.push(gate.get("/").await);
        assert_eq!(clients[n].answer().await.status, 200);
    }
    let Some(before) = before else {
        eprintln!("SKIPPED: this system does not show how much memory a process has");
        return;
    };
    let each = || (gate.resident().expect("as before") - before) / IDLERS as u64;
    // They rest after a second, and what is free goes back within ten.
    until("all of them to rest", async || each() <= MOST_IDLE).await;
    println!("an idle connection takes {:.1} KiB", each() as f64 / 1024.0);
    for client in &mut clients {
        client.get("/").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

/// Whether this process may not have so many connections. Says so.
fn too_few_files(connections: usize) -> bool {
    let too_few = open_files().is_none_or(|most| most < connections + 500);
    if too_few {
        eprintln!("SKIPPED: {connections} connections need more open files than this process may have (ulimit -n)");
    }
    too_few
}

#[tokio::test]
async fn the_end_of_a_wait_is_noticed_within_20_ms() {
    const PATIENCE: Duration = Duration::from_millis(400);
    let _alone = alone();
    one_of_three(async || {
        let mut upstream = Upstream::start().await;
        let setup = Sluicegate::with_limit(1).queue(1000).route("queue_timeout = \"400ms\"");
        let gate = setup.in_front_of(&upstream).await;
        let _holder = gate.get("/holder").await;
        let _held = soon("the holder's request", upstream.next()).await;
        let mut asked = Vec::new();
        for _ in 0..300 {
            let mut client = gate.client().await;
            let sent = Instant::now();
            client.get("/waits").await;
            asked.push((client, sent));
            // Their times end one after the other, so that the end of each has to be noticed by itself.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (mut noticed, mut told) = (Vec::new(), Vec::new());
        for (client, sent) in &mut asked {
            let answer = client.answer().await;
            answer.expect(503, "queue_timeout");
            let (_, wait) = answer.queue().expect("it waited");
            noticed.push(Duration::from_secs_f64(wait).saturating_sub(PATIENCE));
            told.push((answer.at - *sent).saturating_sub(PATIENCE));
        }
        noticed.sort();
        told.sort();
        let (median, p99, last) = (noticed[noticed.len() / 2], noticed[noticed.len() * 99 / 100], noticed[299]);
        println!("too late by {median:?} at the median, {p99:?} at p99, {last:?} at most; told by {:?}", told[150]);
        if p99 <= Duration::from_millis(20) { Ok(()) } else { Err(format!("{p99:?} at p99")) }
    })
    .await;
}

/// How many files this process may have open, and so what it starts, where the system shows it (Linux).
pub(crate) fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
