//! Ending an exchange that nobody waits for, honestly.
//!
//! The upstream is told, what it still sends is read and dropped, and the exchange has ended when the upstream's side
//! has: the response is complete, or the connection is closed. One that does not end within `abort_grace` is reset. An
//! upstream whose end could not be heard after it was told is not waited for.

use std::pin::Pin;

use http_body::Body;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::await_head::HeadFuture;
use super::exchange::{Exchange, OnClientGone};
use super::received::Received;

/// What an abandoned exchange was waiting for.
pub(super) enum Phase<B> {
    Head(HeadFuture<B>),
    Body(Received),
}

/// Ends `exchange` on a task of its own, as its [`Ending`](super::Ending) says. Never blocks; meant for `Drop`.
pub(super) fn abandon<B, H>(exchange: Exchange<B, H>, phase: Phase<B>)
where
    B: Send + 'static,
    H: Send + 'static,
{
    let tell = match exchange.ending.on_client_gone {
        OnClientGone::Reset => return reset(exchange, phase),
        OnClientGone::Abort => true,
        // Half a request can't be finished.
        OnClientGone::Finish => !exchange.is_upload_complete(),
    };
    // Outside a runtime, or in one that is going down, there is nobody to wait with.
    let Ok(runtime) = Handle::try_current() else { return reset(exchange, phase) };
    if tell && !exchange.connection.tell() {
        return reset(exchange, phase);
    }
    runtime.spawn(async move {
        let ended = timeout(exchange.ending.abort_grace, end_of(phase)).await.is_ok();
        if !ended {
            exchange.faults.abandoned();
        }
        if ended && exchange.is_upload_complete() {
            exchange.stop();
        } else {
            tracing::debug!(ended, "the connection of an abandoned exchange was reset");
            exchange.reset();
        }
        // Only now: the connection is dropped, never pooled, and the permit is back.
        drop(exchange);
    });
}

/// Waits, on a task of its own, for the end of an answer of which nothing more is to come but that. The client has all of
/// it; the upstream may still be at work, until it says that it has ended, or for `abort_grace`.
pub(super) fn see_out<B, H>(exchange: Exchange<B, H>, body: Received)
where
    B: Send + 'static,
    H: Send + 'static,
{
    tokio::spawn(async move {
        if timeout(exchange.ending.abort_grace, end_of(Phase::<B>::Body(body))).await.is_ok() {
            exchange.finish();
        } else {
            exchange.reset();
        }
    });
}

/// Ends it now. What is held comes back last, when there is nothing left of the exchange.
fn reset<B, H>(exchange: Exchange<B, H>, phase: Phase<B>) {
    exchange.reset();
    drop(phase);
    drop(exchange);
}

/// Resolves when the upstream has sent all of its answer, or closed.
async fn end_of<B>(phase: Phase<B>) {
    let mut body = match phase {
        Phase::Head(head) => match head.await {
            Ok(response) => response.into_body(),
            Err(_) => return,
        },
        Phase::Body(body) => body,
    };
    while let Some(Ok(_)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {}
}
