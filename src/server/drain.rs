//! Stopping without losing anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::crowd::Crowd;
use super::introductions::Introductions;
use super::reloads::Reloads;
use super::settings::Settings;
use super::spread::Spread;
use crate::proxy::Shared;

/// How far the server is from its end. Each worker and each connection follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub(super) enum Stage {
    #[default]
    Serving = 0,
    /// No new connections; those that are open finish what they have.
    Draining = 1,
    /// Time is over: connections are cut.
    Cut = 2,
    /// Workers end.
    Stopped = 3,
}

/// What the workers share of the server's life.
#[derive(Debug)]
pub(super) struct Control {
    /// The stage, for whoever looks at it on the way; and its changes, for whoever waits for them.
    stage: AtomicU8,
    changes: watch::Sender<Stage>,
    /// What connections begin with.
    pub(super) settings: ArcSwap<Settings>,
    pub(super) crowd: Arc<Crowd>,
    pub(super) spread: Arc<Spread>,
    pub(super) listeners: AtomicUsize,
    /// A connection or a listener has ended.
    pub(super) ended: Notify,
    pub(super) asked_to_drain: Notify,
    pub(super) reloads: Reloads,
    pub(super) introductions: Introductions,
    /// Another plan is in force.
    pub(super) reloaded: Notify,
    draining: AtomicBool,
    /// Requests that were cut before their response had begun.
    pub(super) lost: AtomicUsize,
}

/// How a drain has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Requests that got no answer, or were told to go while they waited.
    pub lost: usize,
}

/// What those who were turned away at the very end get to take their answer.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// What cut connections get to end.
const LAST_BREATH: Duration = Duration::from_secs(1);

impl Control {
    pub(super) fn new(settings: Settings, spread: Arc<Spread>) -> Self {
        Control {
            stage: AtomicU8::new(Stage::Serving as u8),
            changes: watch::Sender::default(),
            crowd: Crowd::new(settings.max_connections.get()),
            spread,
            settings: ArcSwap::from_pointee(settings),
            listeners: AtomicUsize::new(0),
            ended: Notify::new(),
            asked_to_drain: Notify::new(),
            reloads: Reloads::new(),
            introductions: Introductions::default(),
            reloaded: Notify::new(),
            draining: AtomicBool::new(false),
            lost: AtomicUsize::new(0),
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Relaxed) {
            0 => Stage::Serving,
            1 => Stage::Draining,
            2 => Stage::Cut,
            _ => Stage::Stopped,
        }
    }

    /// The changes of the stage, beginning with what it is now: a change before this call is not missed.
    pub(super) fn changes(&self) -> watch::Receiver<Stage> {
        let mut changes = self.changes.subscribe();
        changes.mark_changed();
        changes
    }

    fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
        self.changes.send_replace(stage);
    }

    /// Ends the workers at once, with whatever they have.
    pub(super) fn stop(&self) {
        self.enter(Stage::Stopped);
    }

    /// Runs the drain to its end. The workers may go after it.
    pub(super) async fn drain(self: &Arc<Self>, in_force: &ArcSwap<Shared>) -> Drained {
        let settings = self.settings.load_full();
        self.draining.store(true, Relaxed);
        let deadline = Instant::now() + settings.drain_timeout;
        sleep(settings.drain_delay.min(settings.drain_timeout)).await;
        self.enter(Stage::Draining);
        if timeout_at(deadline, self.quiet()).await.is_err() {
            let turned_away = in_force.load().close_limits();
            self.lost.fetch_add(turned_away as usize, Relaxed);
            let _ = timeout_at(Instant::now() + LAST_WORDS, self.quiet()).await;
            in_force.load().cut();
            self.enter(Stage::Cut);
            let _ = timeout_at(Instant::now() + LAST_BREATH, self.quiet()).await;
        }
        self.stop();
        Drained { lost: self.lost.load(Relaxed) }
    }

    /// Resolves when nobody listens and nobody is connected.
    async fn quiet(&self) {
        loop {
            let ended = self.ended.notified();
            if self.listeners.load(Relaxed) == 0 && self.crowd.open() == 0 {
                return;
            }
            ended.await;
        }
    }
}
