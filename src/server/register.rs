//! A worker's connections, for those who have something to say to all of them.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use slab::Slab;

use super::drain::Control;
use super::wire::Signals;

/// The connections of one worker.
#[derive(Debug, Default)]
pub(super) struct Register(Mutex<Slab<Arc<Signals>>>);

/// A connection's place in its worker's register, and its share in the count of all connections.
#[derive(Debug)]
pub(super) struct Registered {
    register: Arc<Register>,
    control: Arc<Control>,
    key: usize,
}

impl Register {
    pub(super) fn enter(self: &Arc<Self>, control: &Arc<Control>, signals: Arc<Signals>) -> Registered {
        control.connections.fetch_add(1, Relaxed);
        let key = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(signals);
        Registered { register: self.clone(), control: control.clone(), key }
    }

    /// Has every connection look at the state of the drain.
    pub(super) fn wake_all(&self) {
        for (_, signals) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            signals.task.wake();
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.register.0.lock().unwrap_or_else(PoisonError::into_inner).try_remove(self.key);
        self.control.connections.fetch_sub(1, Relaxed);
        self.control.ended.notify_one();
    }
}
