//! How much there is to scrape: whatever clients send makes no series, and many limits and keys cost little.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::support::http2::Http2;
use crate::support::quiet::alone;
use crate::support::{Client, Sluicegate, Upstream, soon, until};

/// How many series there may be.
fn most(routes: usize, limits: usize, upstreams: usize, endpoints: usize) -> usize {
    60 + 90 * routes + 80 * limits + 30 * upstreams + 10 * endpoints
}

#[tokio::test]
async fn ten_thousand_hostile_keys_paths_methods_and_hosts_make_no_series() {
    const CLIENTS: usize = 8;
    const EACH: usize = 1250;
    let upstream = Upstream::that(|call| async move { call.respond(200, "").await }).await;
    let shared = "[limits.shared]\nlimit = 8\nkey = [\"header:x-key\", \"host\"]\nper_key = 8\n";
    let keys = "limits = [\"shared\"]\nkey = \"header:x-key\"\nper_key = 2\nmax_keys = 20000\n";
    let setup = Sluicegate::with_limit(8).queue(100).admin().route(&format!("{keys}{shared}"));
    let gate = setup.in_front_of(&upstream).await;
    let clients = (0..CLIENTS).map(|client| {
        let address = gate.address;
        tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(client as u64);
            let mut connection = Client::connect(address).await;
            for number in 0..EACH {
                connection.send_request("GET", hostile(&mut random, client * EACH + number)).await;
                assert_eq!(connection.answer().await.status, 200);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    // And what is no request, or has no key that is one.
    for bytes in ["GET / HTTP/1.1\r\nHost: a\"b{c=\"d\"}\r\nX-Key: a\r\n b\r\n\r\n", "\"} 1\nx{y=\"z\n\r\n\r\n"] {
        let mut client = gate.client().await;
        client.send(bytes).await;
        client.rest().await;
    }
    let count = "sluicegate_request_duration_seconds_count{route=\"default\"}";
    let all = (CLIENTS * EACH) as f64;
    until("all of them to be counted", async || gate.metrics().await.get(count).is_some_and(|n| *n >= all)).await;
    let samples = gate.metrics().await;
    assert!(samples.len() <= most(1, 2, 1, 1), "{} series: {samples:#?}", samples.len());
    let hostile: Vec<_> = samples.keys().filter(|name| name.contains("key-") || name.contains("evil")).collect();
    assert!(hostile.is_empty(), "{hostile:?}");
    assert!(samples["sluicegate_admitted_total{limit=\"default\",priority=\"normal\"}"] >= all);
}

/// A request whose every part tries to be a series of its own.
fn hostile(random: &mut fastrand::Rng, number: usize) -> Vec<u8> {
    const METHODS: [&str; 5] = ["GET", "PURGE", "X-EVIL", "M~1", "evil"];
    let method = METHODS[random.usize(..METHODS.len())];
    let mut head =
        format!("{method} /evil-{number}?{number} HTTP/1.1\r\nHost: evil-{number}.test\r\nx-key: key-{number}");
    // Quotes, what looks like a label, an escaped line end, and lots of it.
    let _ = write!(head, "\",limit=\"evil\\n{}", "x".repeat(random.usize(..2000)));
    let mut bytes = head.into_bytes();
    // Text beyond ASCII, some of it none.
    bytes.extend_from_slice("ключ \u{2028}".as_bytes());
    bytes.extend((0..random.usize(..20)).map(|_| random.u8(0x80..)));
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes
}

/// The median of many scrapes. `cargo test --release --test e2e scrape -- --nocapture` says how long it really takes.
#[tokio::test]
async fn a_scrape_with_100_limits_and_10_000_keys_takes_10_ms_at_most() {
    const LIMITS: usize = 100;
    const KEYS: usize = 100;
    let _alone = alone();
    let mut upstream = Upstream::start().await;
    let mut text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[upstreams.default]\nurl = \"{}\"\n\
         [defaults]\nlimit = 1\nqueue = 1000\nqueue_timeout = \"60s\"\nkey = \"header:x-key\"\n",
        upstream.url()
    );
    for route in 0..LIMITS {
        let _ = write!(text, "[routes.route{route}]\npath = \"/route{route}/*\"\n");
    }
    let gate = Sluicegate::configured_with(&text, &["--admin", "127.0.0.1:0"], &[]).await;
    let (mut connections, mut waiting, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for route in 0..LIMITS {
        let client = Http2::connect(gate.address).await;
        for key in 0..=KEYS {
            let key = format!("key-{key}");
            let request = client.request("GET", &format!("/route{route}/"), &[("x-key", &key)]);
            waiting.push(client.ask(request, true).await);
        }
        held.push(soon("the first of each", upstream.next()).await);
        connections.push(client);
    }
    let queued = async || {
        let samples = gate.metrics().await;
        let waiting = samples.iter().filter(|(name, _)| name.starts_with("sluicegate_queue_length{"));
        waiting.map(|(_, count)| *count).sum::<f64>() == (LIMITS * KEYS) as f64
    };
    until("all of them to wait", queued).await;
    let mut times = Vec::new();
    let mut scraper = Client::connect(gate.admin_address()).await;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", gate.admin_address());
    for _ in 0..21 {
        let start = Instant::now();
        scraper.send_request("GET", &request).await;
        let answer = scraper.answer().await;
        times.push(start.elapsed());
        let samples = crate::support::admin::samples(&answer.body.text());
        assert!(samples.len() <= most(LIMITS, LIMITS, 1, 1), "{} series", samples.len());
        assert_eq!(samples["sluicegate_keys_tracked{limit=\"route7\"}"], KEYS as f64);
    }
    times.sort();
    let median = times[times.len() / 2];
    println!("a scrape with {LIMITS} limits and {} keys takes {median:?}", LIMITS * KEYS);
    // Without the optimizer, it says nothing but that it is no matter of seconds.
    let bound = if cfg!(debug_assertions) { Duration::from_secs(2) } else { Duration::from_millis(10) };
    assert!(median <= bound, "{times:?}");
}
