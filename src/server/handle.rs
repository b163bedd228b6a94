//! A running server, for those who watch and steer it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::drain::Control;
use crate::proxy::Shared;

/// A cheap handle to a running server.
#[derive(Debug, Clone)]
pub struct Handle {
    proxy: Arc<Shared>,
    control: Arc<Control>,
}

impl Handle {
    pub(super) fn new(proxy: Arc<Shared>, control: Arc<Control>) -> Self {
        Handle { proxy, control }
    }

    /// The routes and limits in force.
    pub fn proxy(&self) -> &Shared {
        &self.proxy
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
}
