//! Asking for a reload. Who asks does not know where the configuration comes from, and who loads it not who asked.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::proxy::Changes;

/// What becomes of a reload.
pub type Outcome = Result<Reloaded, Refused>;

/// A configuration that is right, and in force unless it was only tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// How many routes it has.
    pub routes: usize,
    /// How many limits.
    pub limits: usize,
    /// What it changes.
    pub changes: Changes,
    /// What is probably not meant, as it is shown to people, and what takes a restart.
    pub warnings: Vec<String>,
}

/// A configuration that is wrong. The one before it stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Everything that is wrong, as it is shown to people.
    pub problems: Vec<String>,
}

/// Somebody's wish for a reload.
#[derive(Debug)]
pub struct Wish {
    /// Whether the configuration is only to be tried.
    pub dry_run: bool,
    answer: oneshot::Sender<Outcome>,
}

impl Wish {
    /// Says what has become of it. Nobody may be there to hear it.
    pub fn answer(self, outcome: Outcome) {
        let _ = self.answer.send(outcome);
    }
}

/// The way from those who ask to the one who loads.
#[derive(Debug)]
pub(super) struct Reloads {
    ask: mpsc::Sender<Wish>,
    asked: Mutex<mpsc::Receiver<Wish>>,
    in_force: AtomicU64,
    refused: AtomicU64,
}

/// How often a configuration was loaded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadCounts {
    /// It was right, and is or was in force.
    pub in_force: u64,
    /// It was wrong.
    pub refused: u64,
}

/// More who ask at once wait; one reload after the other is all that there is to have.
const WAITING: usize = 16;

impl Reloads {
    pub(super) fn new() -> Self {
        let (ask, asked) = mpsc::channel(WAITING);
        Reloads { ask, asked: Mutex::new(asked), in_force: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    pub(super) fn count(&self, in_force: bool) {
        let count = if in_force { &self.in_force } else { &self.refused };
        count.fetch_add(1, Relaxed);
    }

    pub(super) fn counts(&self) -> ReloadCounts {
        ReloadCounts { in_force: self.in_force.load(Relaxed), refused: self.refused.load(Relaxed) }
    }

    /// Asks, and waits for the outcome. `None` if nobody loads any more. If this is dropped, the reload goes on.
    pub(super) async fn ask(&self, dry_run: bool) -> Option<Outcome> {
        let (answer, outcome) = oneshot::channel();
        self.ask.send(Wish { dry_run, answer }).await.ok()?;
        outcome.await.ok()
    }

    /// The next wish. Dropping this loses none.
    pub(super) async fn next(&self) -> Wish {
        match self.asked.lock().await.recv().await {
            Some(wish) => wish,
            None => unreachable!("the sender is beside the receiver"),
        }
    }
}
