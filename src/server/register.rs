//! A worker's connections, for those who have something to say to all of them.

use std::sync::{Arc, Mutex, PoisonError};

use slab::Slab;

use super::crowd::Place;
use super::drain::Control;
use super::spread::Seat;
use super::wire::Signals;

/// The connections of one worker.
#[derive(Debug, Default)]
pub(super) struct Register(Mutex<Slab<Arc<Signals>>>);

/// A connection's place in its worker's register, and among all connections.
#[derive(Debug)]
pub(super) struct Registered {
    register: Arc<Register>,
    control: Arc<Control>,
    signals: Arc<Signals>,
    key: usize,
    /// Present until it is given back.
    place: Option<Place>,
    _seat: Seat,
}

impl Register {
    pub(super) fn enter(
        self: &Arc<Self>,
        control: &Arc<Control>,
        (place, seat): (Place, Seat),
        signals: Arc<Signals>,
    ) -> Registered {
        let key = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(signals.clone());
        Registered { register: self.clone(), control: control.clone(), signals, key, place: Some(place), _seat: seat }
    }

    /// Has every connection look at the state of the drain.
    pub(super) fn wake_all(&self) {
        self.each(|signals| signals.task.wake());
    }

    pub(super) fn each(&self, mut visit: impl FnMut(&Arc<Signals>)) {
        for (_, signals) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            visit(signals);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.register.0.lock().unwrap_or_else(PoisonError::into_inner).try_remove(self.key);
        // Whoever waits for the place finds it before anybody else is asked to go.
        drop(self.place.take());
        self.control.crowd.note_gone(&self.signals);
        self.control.ended.notify_one();
    }
}
