//! Every reason for which admission turns a request away: what the client is told, and what is counted.

use std::time::Duration;

use crate::support::client::head_of;
use crate::support::{Answer, Call, Client, Setup, Sluicegate, Upstream, soon, until};

/// What the contract says of a reason.
struct Word {
    reason: &'static str,
    status: u16,
    grpc: &'static str,
    /// Coming back later may help.
    sheds: bool,
}

#[rustfmt::skip]
const WORDS: [Word; 11] = [
    Word { reason: "no_permit", status: 503, grpc: "8", sheds: true },
    Word { reason: "queue_full", status: 503, grpc: "8", sheds: true },
    Word { reason: "queue_timeout", status: 503, grpc: "8", sheds: true },
    Word { reason: "evicted", status: 503, grpc: "8", sheds: true },
    Word { reason: "flushed", status: 503, grpc: "8", sheds: true },
    Word { reason: "key_limit", status: 429, grpc: "8", sheds: true },
    Word { reason: "key_queue_full", status: 429, grpc: "8", sheds: true },
    Word { reason: "deadline_unmeetable", status: 503, grpc: "4", sheds: true },
    Word { reason: "deadline_expired", status: 504, grpc: "4", sheds: false },
    Word { reason: "cost", status: 400, grpc: "3", sheds: false },
    Word { reason: "draining", status: 503, grpc: "14", sheds: true },
];

const GRPC: &str = "Content-Type: application/grpc";

/// A gate whose only permit is taken.
struct Full {
    gate: Sluicegate,
    _upstream: Upstream,
    _holder: Client,
    _held: Call,
}

impl Full {
    async fn start(setup: Setup) -> Self {
        let upstream = Upstream::start().await;
        let gate = setup.admin().in_front_of(&upstream).await;
        Self::fill(gate, upstream).await
    }

    async fn fill(gate: Sluicegate, mut upstream: Upstream) -> Self {
        let holder = ask(&gate, &["x-tenant: a"]).await;
        let held = soon("the holder's request", upstream.next()).await;
        Full { gate, _upstream: upstream, _holder: holder, _held: held }
    }

    async fn waits(&self, fields: &[&str]) -> Client {
        let length = async || self.gate.limit_status().await["queue_length"].as_u64();
        let before = length().await;
        let client = ask(&self.gate, fields).await;
        until("it to wait", async || length().await > before).await;
        client
    }
}

fn queue_of(queue: usize) -> Setup {
    Sluicegate::with_limit(1).queue(queue)
}

async fn ask(gate: &Sluicegate, fields: &[&str]) -> Client {
    let mut client = gate.client().await;
    client.send(head_of("POST", "/asked", &[fields, &["Content-Length: 0"]].concat())).await;
    client
}

/// Asserts all that is said in a rejection.
fn is_told(answer: &Answer, reason: &str, position: u32) {
    let word = WORDS.iter().find(|word| word.reason == reason).expect("one of the words");
    let field = |name: &str| answer.head.field(name);
    let is_grpc = field("content-type").as_deref() == Some("application/grpc");
    answer.expect(if is_grpc { 200 } else { word.status }, reason);
    assert_eq!(field("x-sluicegate-limit").as_deref(), Some("default"), "{reason}");
    assert_eq!(field("cache-control").as_deref(), Some("no-store"), "{reason}");
    let (place, wait) = answer.queue().unwrap_or_else(|| panic!("{reason}: each rejection carries x-sluicegate-queue"));
    assert_eq!(place, position, "{reason}");
    assert!((0.0..20.0).contains(&wait), "{reason}: {wait}");
    let retry_after: Option<u64> = field("retry-after").map(|seconds| seconds.parse().expect("whole seconds"));
    assert_eq!(retry_after.is_some(), word.sheds, "{reason}");
    assert!(retry_after.is_none_or(|seconds| (1..=60).contains(&seconds)), "{reason}: {retry_after:?}");
    if is_grpc {
        assert_eq!(field("grpc-status").as_deref(), Some(word.grpc), "{reason}");
        assert_eq!(field("grpc-message").as_deref(), Some(reason));
        let pushback = retry_after.map(|seconds| (seconds * 1000).to_string());
        assert_eq!(field("grpc-retry-pushback-ms"), pushback, "{reason}");
        assert!(answer.body.bytes.is_empty(), "{reason}: trailers only");
        return;
    }
    assert!(!answer.head.has("grpc-status"), "{reason}");
    assert_eq!(field("content-type").as_deref(), Some("application/problem+json"), "{reason}");
    let problem = answer.json();
    assert_eq!((problem["status"].as_u64(), &problem["reason"]), (Some(word.status.into()), &reason.into()));
    assert_eq!((&problem["limit"], &problem["route"]), (&"default".into(), &"default".into()), "{problem}");
    assert_eq!(problem["retry_after"].as_u64(), retry_after, "{problem}");
    assert_eq!(problem["request_id"].as_str(), field("x-request-id").as_deref(), "{problem}");
    for member in ["type", "title", "detail", "request_id"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {problem}");
    }
}

/// Asserts that so many were rejected for `reason`, of the route and of its limit, and nobody for anything else.
async fn are_counted(gate: &Sluicegate, reason: &str, count: u32) {
    let metrics = gate.metrics().await;
    for word in &WORDS {
        let expected = if word.reason == reason { f64::from(count) } else { 0.0 };
        for name in [
            format!("sluicegate_rejected_total{{route=\"default\",reason=\"{}\"}}", word.reason),
            format!("sluicegate_limit_rejected_total{{limit=\"default\",reason=\"{}\"}}", word.reason),
        ] {
            assert_eq!(metrics.get(&name), Some(&expected), "{name}");
        }
    }
}

/// Asks in vain twice, the second time in gRPC's words.
async fn is_told_twice(gate: &Sluicegate, fields: &[&str], reason: &str, position: u32) {
    is_told(&ask(gate, fields).await.answer().await, reason, position);
    is_told(&ask(gate, &[fields, &[GRPC]].concat()).await.answer().await, reason, position);
    are_counted(gate, reason, 2).await;
}

#[tokio::test]
async fn no_permit_is_said_where_nobody_may_wait() {
    let full = Full::start(queue_of(0)).await;
    is_told_twice(&full.gate, &[], "no_permit", 1).await;
}

#[tokio::test]
async fn queue_full_is_said_where_too_many_wait() {
    let full = Full::start(queue_of(1)).await;
    let _waiter = full.waits(&[]).await;
    is_told_twice(&full.gate, &[], "queue_full", 2).await;
}

#[tokio::test]
async fn queue_timeout_is_said_after_the_wait() {
    let full = Full::start(queue_of(1).route("queue_timeout = \"50ms\"")).await;
    is_told_twice(&full.gate, &[], "queue_timeout", 1).await;
}

#[tokio::test]
async fn queue_timeout_is_said_before_a_wait_in_vain() {
    let setup = queue_of(100).route("order = \"adaptive_lifo\"\nqueue_timeout = \"200ms\"");
    let full = measured(setup).await;
    let mut asked = Vec::new();
    for _ in 0..40 {
        asked.push(ask(&full.gate, &[]).await);
    }
    // Ten of them fill 200 ms.
    let foreseen = asked.last_mut().expect("forty").answer().await;
    assert_eq!(foreseen.queue().map(|(_, wait)| wait), Some(0.0));
    foreseen.expect(503, "queue_timeout");
    assert_eq!(foreseen.json()["predicted"], true);
}

#[tokio::test]
async fn evicted_is_said_to_the_less_urgent() {
    let full = Full::start(queue_of(1).route("priority = \"header\"\ntrust_headers = \"all\"")).await;
    let mut waiter = full.waits(&["x-request-priority: low"]).await;
    let _urgent = ask(&full.gate, &["x-request-priority: high"]).await;
    is_told(&waiter.answer().await, "evicted", 1);
    are_counted(&full.gate, "evicted", 1).await;
}

#[tokio::test]
async fn flushed_is_said_to_all_who_wait() {
    let full = Full::start(queue_of(2)).await;
    let mut waiters = [full.waits(&[]).await, full.waits(&[GRPC]).await];
    assert_eq!(full.gate.ask_admin("POST /api/v1/limits/default/flush", "").await.json()["flushed"], 2);
    for (waiter, position) in waiters.iter_mut().zip(1..) {
        is_told(&waiter.answer().await, "flushed", position);
    }
    are_counted(&full.gate, "flushed", 2).await;
}

#[tokio::test]
async fn key_limit_is_said_to_a_key_that_has_its_share() {
    let setup = Setup::default().route("limit = 4\nkey = \"header:x-tenant\"\nper_key = 1").queue(0);
    let full = Full::start(setup.route("reject_status = 529")).await;
    is_told_twice(&full.gate, &["x-tenant: a"], "key_limit", 1).await;
}

#[tokio::test]
async fn key_limit_is_said_for_want_of_a_key() {
    let setup = Setup::default().route("limit = 4\nkey = \"header:x-tenant\"\nmissing_key = \"reject\"");
    let full = Full::start(setup).await;
    let answer = ask(&full.gate, &[]).await.answer().await;
    answer.expect(429, "key_limit");
    // It lacks the same tomorrow.
    assert!(!answer.head.has("retry-after") && answer.queue() == Some((1, 0.0)), "{answer:?}");
    are_counted(&full.gate, "key_limit", 1).await;
}

#[tokio::test]
async fn key_queue_full_is_said_to_the_longest_key() {
    let setup = queue_of(2).route("key = \"header:x-tenant\"\nreject_status = 529");
    let full = Full::start(setup).await;
    let _first = full.waits(&["x-tenant: a"]).await;
    let mut last = full.waits(&["x-tenant: a", GRPC]).await;
    let _other = ask(&full.gate, &["x-tenant: b"]).await;
    is_told(&last.answer().await, "key_queue_full", 2);
    are_counted(&full.gate, "key_queue_full", 1).await;
}

#[tokio::test]
async fn deadline_unmeetable_is_said_before_a_wait_in_vain() {
    let full = measured(queue_of(100)).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(ask(&full.gate, &[]).await);
    }
    until("all to wait", async || full.gate.limit_status().await["queue_length"] == 20).await;
    is_told_twice(&full.gate, &["x-request-timeout: 60ms"], "deadline_unmeetable", 21).await;
}

#[tokio::test]
async fn deadline_expired_is_said_on_arrival_and_after_the_wait() {
    let full = Full::start(queue_of(3)).await;
    let _waiter = full.waits(&[]).await;
    // On arrival, and while waiting.
    is_told(&ask(&full.gate, &["x-request-timeout: 0"]).await.answer().await, "deadline_expired", 2);
    is_told(&ask(&full.gate, &["grpc-timeout: 0m", GRPC]).await.answer().await, "deadline_expired", 2);
    is_told(&ask(&full.gate, &["x-request-timeout: 50ms"]).await.answer().await, "deadline_expired", 2);
    are_counted(&full.gate, "deadline_expired", 3).await;
}

#[tokio::test]
async fn cost_is_said_of_more_than_there_is_and_of_no_number() {
    let full = Full::start(queue_of(3).route("cost = \"header:x-cost\"\ntrust_headers = \"all\"")).await;
    // More than there is, and no number.
    is_told(&ask(&full.gate, &["x-cost: 2"]).await.answer().await, "cost", 1);
    is_told(&ask(&full.gate, &["x-cost: two"]).await.answer().await, "cost", 1);
    is_told(&ask(&full.gate, &["x-cost: 0", GRPC]).await.answer().await, "cost", 1);
    are_counted(&full.gate, "cost", 3).await;
}

/// Nobody is left to be asked for a metric then.
#[tokio::test]
async fn draining_is_said_to_those_who_still_wait() {
    let full = Full::start(queue_of(3).server("drain_timeout = \"300ms\"")).await;
    let mut waiters = [full.waits(&[]).await, full.waits(&[GRPC]).await];
    full.gate.terminate();
    for (waiter, position) in waiters.iter_mut().zip(1..) {
        let answer = waiter.answer().await;
        is_told(&answer, "draining", position);
        assert!(answer.closes(), "{answer:?}");
    }
}

/// A dry run turns nobody away, whatever is wrong.
#[tokio::test]
async fn in_a_dry_run_nothing_is_a_reason() {
    let mut upstream = Upstream::start().await;
    let rules = "limit = 4\ndry_run = true\nkey = \"header:x-tenant\"\nmissing_key = \"reject\"\n\
                 cost = \"header:x-cost\"\ntrust_headers = \"all\"";
    let gate = Setup::default().route(rules).admin().in_front_of(&upstream).await;
    for fields in [&["x-request-timeout: 0"][..], &["x-cost: two"], &["x-cost: 7"], &[]] {
        let mut client = ask(&gate, fields).await;
        soon("a request that would have been rejected", upstream.next()).await.respond(200, "").await;
        assert_eq!(client.answer().await.status, 200, "{fields:?}");
    }
    let metrics = gate.metrics().await;
    assert!(metrics["sluicegate_dry_run_rejected_total{limit=\"default\"}"] >= 4.0, "{metrics:#?}");
    are_counted(&gate, "", 0).await;
}

/// A full gate that has seen how fast its upstream works: 20 ms each.
async fn measured(setup: Setup) -> Full {
    let mut upstream = Upstream::that_works_for(Duration::from_millis(20)).await;
    let gate = setup.admin().in_front_of(&upstream).await;
    let mut done = 0;
    while done < 60 {
        // So few at a time that nobody's wait is too long.
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(ask(&gate, &[]).await);
        }
        for client in &mut clients {
            assert_eq!(client.answer().await.status, 200);
            done += 1;
        }
    }
    upstream.answers_when_told();
    Full::fill(gate, upstream).await
}
