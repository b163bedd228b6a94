//! Ending an exchange that nobody waits for, honestly.
//!
//! The upstream is told, what it still sends is read and dropped, and the exchange has ended when the upstream's side
//! has: the response is complete, or the connection is closed. One that does not end within `abort_grace` is reset. An
//! upstream whose end could not be heard after it was told is not waited for.

use std::future::poll_fn;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::connection::Connection;
use super::exchange::{Exchange, OnClientGone};

/// Ends `exchange` on a task of its own, as its [`Ending`](super::Ending) says. Never blocks; meant for `Drop`.
pub(super) fn abandon<B, H>(mut exchange: Box<Exchange<B, H>>)
where
    B: Send + 'static,
    H: Send + 'static,
{
    let tell = match exchange.ending.on_client_gone {
        OnClientGone::Reset => return exchange.reset(),
        OnClientGone::Abort => true,
        // Half a request can't be finished.
        OnClientGone::Finish => !exchange.is_upload_complete(),
    };
    // Outside a runtime, or in one that is going down, there is nobody to wait with.
    let Ok(runtime) = Handle::try_current() else { return exchange.reset() };
    if tell && !exchange.tell() {
        return exchange.reset();
    }
    runtime.spawn(async move {
        let ended = is_over(&mut exchange).await;
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

/// Ends an exchange whose answer is no HTTP. Where that would end, nobody can tell: its one end is that of its connection.
/// So the upstream is told even where it may finish, or one that keeps its connections would be waited for in vain. A stream
/// has an end of its own, whatever is on it.
pub(super) fn abandon_fault<B, H>(mut exchange: Box<Exchange<B, H>>)
where
    B: Send + 'static,
    H: Send + 'static,
{
    let ending = &mut exchange.ending.on_client_gone;
    if matches!((&exchange.connection, &ending), (Connection::Http1(_), OnClientGone::Finish)) {
        *ending = OnClientGone::Abort;
    }
    abandon(exchange);
}

/// Waits, on a task of its own, for the end of an answer of which nothing more is to come but that. The client has all of
/// it; the upstream may still be at work, until it says that it has ended, or for `abort_grace`.
pub(super) fn see_out<B, H>(mut exchange: Box<Exchange<B, H>>)
where
    B: Send + 'static,
    H: Send + 'static,
{
    tokio::spawn(async move {
        if is_over(&mut exchange).await {
            exchange.finish();
        } else {
            exchange.reset();
        }
    });
}

/// Reads what still comes, for `abort_grace` at most. Whether the upstream has sent all of its answer by then, or closed.
async fn is_over<B, H>(exchange: &mut Exchange<B, H>) -> bool {
    let Exchange { connection, ending, .. } = exchange;
    timeout(ending.abort_grace, poll_fn(|cx| connection.poll_end(cx))).await.is_ok()
}
