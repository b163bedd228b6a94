//! The harness: the real binary, an upstream that answers when told, and a client that can do everything wrong.
//!
//! Tests wait for gates (a request has reached the upstream, a peer has closed) and not for time. Where an absence is
//! claimed ("nothing arrives"), it is watched for [`A_MOMENT`].

pub mod access_log;
pub mod admin;
pub mod bridge;
pub mod census;
pub mod certificates;
pub mod client;
#[cfg(feature = "otel")]
pub mod collector;
pub mod http2;
pub mod http2_upstream;
pub mod message;
mod process;
pub mod quiet;
pub mod random;
pub mod sluicegate;
pub mod stdout;
pub mod tools;
pub mod upstream;
mod upstream_call;
pub mod wire;

use std::future::Future;
use std::time::{Duration, Instant};

pub use access_log::AccessLog;
pub use client::{Answer, Client};
pub use http2_upstream::{Http2Upstream, StreamCall};
pub use sluicegate::{Setup, Sluicegate};
pub use upstream::{Call, Upstream};

/// How long an absence is watched for: several times what a machine under load needs to show the contrary.
pub const A_MOMENT: Duration = Duration::from_millis(80);

/// How long a test waits for what must happen. Only a failing test ever waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that must happen, and says what it was if it does not.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("still waiting after {PATIENCE:?}: {what}"),
    }
}

/// Asks again and again until the answer is yes; says what was asked if it never is.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "not so after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether nothing comes of it for [`A_MOMENT`].
pub async fn nothing_comes<F: Future>(future: F) -> bool {
    tokio::time::timeout(A_MOMENT, future).await.is_err()
}

/// Repeats a measurement on a noisy machine until one attempt keeps the bound; the last failure is reported.
pub async fn one_of_three(mut attempt: impl AsyncFnMut() -> Result<(), String>) {
    let mut failures = Vec::new();
    for _ in 0..3 {
        match attempt().await {
            Ok(()) => return,
            Err(failure) => failures.push(failure),
        }
    }
    panic!("none of three attempts kept the bound: {failures:#?}");
}

/// An upstream that answers when told, whatever it speaks.
pub trait Scripted {
    type Call: ScriptedCall;

    async fn next(&mut self) -> Self::Call;
}

/// A request at such an upstream.
pub trait ScriptedCall {
    fn path(&self) -> &str;

    async fn respond(self, status: u16, body: &str);
}

impl Scripted for Upstream {
    type Call = Call;

    async fn next(&mut self) -> Call {
        Upstream::next(self).await
    }
}

impl ScriptedCall for Call {
    fn path(&self) -> &str {
        Call::path(self)
    }

    async fn respond(self, status: u16, body: &str) {
        Call::respond(self, status, body).await;
    }
}

/// The permits are all back and no more than all: `n` requests run, and the next one waits until one of them ends.
///
/// Needs a queue of at least one, and an upstream that answers when told.
pub async fn permits_are_all_back(gate: &Sluicegate, upstream: &mut impl Scripted, n: usize) {
    let mut clients = Vec::new();
    let mut calls = Vec::new();
    for i in 0..n {
        clients.push(gate.get(&format!("/permit-{i}")).await);
        let call = soon(&format!("permit {i} of {n} to be back"), upstream.next()).await;
        assert!(call.path().starts_with("/permit-"), "a stray request reached the upstream: {}", call.path());
        calls.push(call);
    }
    let next = gate.waiting("/one-too-many").await;
    assert!(nothing_comes(upstream.next()).await, "a permit came back twice: {} run at limit {n}", n + 1);
    clients.push(next);
    for call in calls {
        call.respond(200, "done").await;
    }
    soon("the next waiter", upstream.next()).await.respond(200, "done").await;
    for mut client in clients {
        assert_eq!(client.answer().await.status, 200);
    }
}
