//! A running server, for those who watch and steer it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arc_swap::ArcSwap;

use super::drain::Control;
use super::reloads::{Outcome, Wish};
use crate::proxy::{Conflict, Plan, Shared};

/// A cheap handle to a running server.
#[derive(Debug, Clone)]
pub struct Handle {
    in_force: Arc<ArcSwap<Shared>>,
    control: Arc<Control>,
}

impl Handle {
    pub(super) fn new(in_force: Arc<ArcSwap<Shared>>, control: Arc<Control>) -> Self {
        Handle { in_force, control }
    }

    /// The routes and limits in force.
    pub fn proxy(&self) -> Arc<Shared> {
        self.in_force.load_full()
    }

    /// Puts another plan in force, at once and as a whole. What is under way goes on by the plan that it began with.
    ///
    /// # Errors
    /// The pairs of routes that one request could match equally well; nothing has changed then.
    pub fn reload(&self, plan: Plan) -> Result<(), Vec<Conflict>> {
        self.in_force.store(Arc::new(self.in_force.load().follow(plan)?));
        Ok(())
    }

    /// Whether it is on its way out, from the first moment of the drain on.
    pub fn is_draining(&self) -> bool {
        self.control.is_draining()
    }

    /// Open client connections.
    pub fn connections(&self) -> usize {
        self.control.connections.load(Relaxed)
    }

    /// Asks whoever runs the server to drain it.
    pub fn ask_to_drain(&self) {
        self.control.asked_to_drain.notify_one();
    }

    /// Resolves when somebody has [asked](Handle::ask_to_drain).
    pub async fn asked_to_drain(&self) {
        self.control.asked_to_drain.notified().await;
    }

    /// Asks whoever runs the server to load the configuration again, or with `dry_run` only to try. `None` if nobody
    /// does any more. If this is dropped, the reload goes on.
    pub async fn ask_to_reload(&self, dry_run: bool) -> Option<Outcome> {
        self.control.reloads.ask(dry_run).await
    }

    /// Resolves when somebody has [asked](Handle::ask_to_reload). Dropping this loses no wish.
    pub async fn asked_to_reload(&self) -> Wish {
        self.control.reloads.next().await
    }
}
