//! The operators' side of a running server, wherever it listens.
//!
//! What it knows outlives its listener: a reload that moves or closes that leaves the overrides with their ends and the
//! last five minutes as they are.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use tokio::task::AbortHandle;

use super::board::Board;
use super::configuration::Configuration;
use super::context::Context;
use super::listener::{BindError, Listener, Running};
use super::router::router;
use super::settings::{Listen, Settings};
use crate::files::PERIOD;
use crate::server::Handle;

/// The operators' side of a server. Dropping it closes its listener.
#[derive(Debug)]
pub struct Desk {
    /// Where it was asked to listen.
    listen: Option<Listen>,
    context: Context,
    /// Asked anew for each request.
    router: Arc<ArcSwap<Router>>,
    running: Option<Running>,
    tasks: [AbortOnDrop; 2],
    /// Has the token follow its file.
    renewing: Option<AbortOnDrop>,
}

/// A task that ends with this.
#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

/// Where another configuration has it listen, before it is in force.
#[derive(Debug)]
pub struct Move {
    listen: Option<Listen>,
    /// `None` where it stays.
    to: Option<Option<Listener>>,
}

impl Desk {
    /// Serves at `listener`, which was [bound](Listener::bind) for `settings`, on the current runtime, which must be none
    /// of the workers'. Without one it waits for a [move](Desk::follow).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(
        server: Handle,
        settings: &Settings,
        listener: Option<Listener>,
        configuration: Arc<dyn Configuration>,
    ) -> Self {
        let (board, teller) = Board::new();
        let sampling = tokio::spawn(board.clone().run(server.clone(), teller));
        let context = Context::new(server, settings.token.clone(), board, configuration);
        let expiry = tokio::spawn(context.overrides.clone().expire());
        let tasks = [expiry, sampling].map(|task| AbortOnDrop(task.abort_handle()));
        let router = Arc::new(ArcSwap::from_pointee(router(context.clone(), settings.dashboard)));
        let mut desk =
            Desk { listen: settings.listen.clone(), context, router, running: None, tasks, renewing: renew(settings) };
        desk.running = listener.map(|listener| desk.serve(listener));
        desk
    }

    /// Listens where the next settings say, if that is elsewhere, and answers nobody there yet.
    ///
    /// # Errors
    /// When that is not possible. Nothing has changed then.
    pub fn prepare(&self, next: &Settings) -> Result<Move, BindError> {
        let ours = self.running.as_ref().and_then(Running::address);
        let to = (next.listen != self.listen).then(|| Listener::bind_beside(next, ours)).transpose()?;
        Ok(Move { listen: next.listen.clone(), to })
    }

    /// Whether it could, as far as that can be told without doing so.
    ///
    /// # Errors
    /// Why it could not.
    pub fn can_follow(&self, next: &Settings) -> Result<(), BindError> {
        let ours = self.running.as_ref().and_then(Running::address);
        if next.listen == self.listen { Ok(()) } else { Listener::can_bind(next, ours) }
    }

    /// Puts the next settings in force, and what there is to say of the configuration. Answers that are under way at a
    /// place that is left are given there.
    ///
    /// # Cancel safety
    /// Dropping the future leaves all of it in force.
    pub async fn follow(&mut self, next: &Settings, prepared: Move, configuration: Arc<dyn Configuration>) {
        self.context = self.context.with(next.token.clone(), configuration);
        self.router.store(Arc::new(router(self.context.clone(), next.dashboard)));
        self.renewing = renew(next);
        let Some(to) = prepared.to else { return };
        let url = to.as_ref().map_or_else(|| "off".to_owned(), Listener::url);
        let running = to.map(|listener| self.serve(listener));
        let before = std::mem::replace(&mut self.running, running);
        self.listen = prepared.listen;
        tracing::info!(admin = url, "the admin listener has moved");
        if let Some(mut before) = before {
            before.leave().await;
        }
    }

    /// Accepts no more, and lets the answers under way be sent.
    pub async fn close(self) {
        // Those who follow the events are let go.
        drop(self.tasks);
        if let Some(running) = self.running {
            running.close().await;
        }
    }

    fn serve(&self, listener: Listener) -> Running {
        // There is somebody who can look.
        self.context.server.proxy().registry().open();
        listener.serve(self.router.clone())
    }
}

/// Looks at the token's file now and then. Not on this thread: a disk may take its time.
fn renew(settings: &Settings) -> Option<AbortOnDrop> {
    let token = settings.token.clone()?;
    let renewing = tokio::spawn(async move {
        loop {
            tokio::time::sleep(PERIOD).await;
            let token = token.clone();
            // It does not panic, and if it did, the next look is in a while.
            let _ = tokio::task::spawn_blocking(move || token.check()).await;
        }
    });
    Some(AbortOnDrop(renewing.abort_handle()))
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
