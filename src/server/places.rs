//! The places that are listened at, which another configuration may change.
//!
//! What is new is bound before anything else changes, so that a place that can't be had refuses the whole configuration.
//! What stays keeps its sockets, whatever is in their backlogs, and its connections; whether TLS is spoken there is asked
//! anew for each connection. What goes is emptied, closed, and waited for, so that the place is free when the reload is
//! over. A port's sockets, one for each worker, come and go together: closing one of them alone would lose the
//! connections that the kernel was about to give it, which is why the number of workers takes a restart.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::timeout;

use super::drain::Control;
use super::listen::Listen;
use super::listener::{Bound, Listener, Listening, bind_all, can_bind};
use super::settings::Settings;

/// Where the server listens, and the way to its workers.
#[derive(Debug)]
pub(super) struct Places {
    held: Vec<Bound>,
    workers: Vec<UnboundedSender<Listener>>,
}

/// Places that are on their way out.
pub(super) struct Leaving(Vec<watch::Sender<()>>);

/// A worker closes a listener as soon as it looks up from what it does.
const CLOSING: Duration = Duration::from_secs(1);

impl Places {
    pub(super) fn new(workers: Vec<UnboundedSender<Listener>>) -> Self {
        Places { held: Vec::new(), workers }
    }

    pub(super) fn listening(&self) -> Vec<Listening> {
        self.held.iter().map(|place| place.listening.clone()).collect()
    }

    /// Binds what `settings` name and is not held.
    ///
    /// # Errors
    /// The place that can't be listened at, and why. Nothing has changed then.
    pub(super) fn bind(&self, settings: &Settings) -> Result<Vec<Bound>, (Listen, io::Error)> {
        let (new, leaving) = self.difference(settings);
        bind_all(&new, &leaving, settings, self.workers.len(), !self.held.is_empty())
    }

    /// Whether it could, as far as that can be told without listening.
    pub(super) fn can_bind(&self, settings: &Settings) -> Result<(), (Listen, io::Error)> {
        let (new, leaving) = self.difference(settings);
        new.iter().try_for_each(|listen| can_bind(listen, &leaving).map_err(|error| (listen.clone(), error)))
    }

    /// Listens where `settings` say: at what was bound for them, and what they name of what is held. The rest leaves.
    pub(super) fn follow(&mut self, settings: &Settings, new: Vec<Bound>, control: &Control) -> Leaving {
        let mut wanted: Vec<&Listen> = settings.listen.iter().collect();
        let mut leaving = Vec::new();
        for mut place in std::mem::take(&mut self.held) {
            let same = wanted.iter().position(|listen| listen.place() == place.listening.listen.place());
            let Some(same) = same else {
                leaving.push(place.closing);
                continue;
            };
            place.tls.store(wanted[same].is_tls(), Relaxed);
            place.listening.listen.clone_from(wanted[same]);
            if !matches!(wanted[same].place(), Listen::Passed(_)) {
                wanted.swap_remove(same);
            }
            self.held.push(place);
        }
        for mut place in new {
            for (worker, listener) in self.workers.iter().zip(std::mem::take(&mut place.listeners)) {
                // Counted here, so that a drain that begins at once waits for workers that have not begun.
                control.listeners.fetch_add(1, Relaxed);
                if worker.send(listener).is_err() {
                    control.listeners.fetch_sub(1, Relaxed);
                }
            }
            self.held.push(place);
        }
        Leaving(leaving)
    }

    /// The places that are not held, and those that are and are not named.
    fn difference(&self, settings: &Settings) -> (Vec<Listen>, Vec<&Listening>) {
        let mut held: Vec<&Listening> = self.held.iter().map(|place| &place.listening).collect();
        let mut new = Vec::new();
        for listen in &settings.listen {
            let is_same = |held: &&Listening| held.listen.place() == listen.place();
            match held.iter().position(is_same) {
                // All sockets that were passed on by one name are one place of the settings.
                Some(_) if matches!(listen.place(), Listen::Passed(_)) => held.retain(|held| !is_same(held)),
                Some(same) => drop(held.remove(same)),
                None => new.push(listen.clone()),
            }
        }
        (new, held)
    }
}

impl Leaving {
    /// Has them closed, and resolves when they are.
    ///
    /// # Cancel safety
    /// Dropping this after it was polled leaves them closing.
    pub(super) async fn close(self) {
        for place in &self.0 {
            place.send_replace(());
        }
        let closed = async {
            for place in &self.0 {
                place.closed().await;
            }
        };
        if timeout(CLOSING, closed).await.is_err() {
            tracing::warn!("a place that is listened at no more is not closed yet");
        }
    }
}
