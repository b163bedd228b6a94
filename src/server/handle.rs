//! A running server, for those who watch and steer it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::drain::Control;
use super::files::Files;
use super::places::Places;
use super::reloads::{Outcome, ReloadCounts, Wish};
use super::settings::Settings;
use super::start::StartError;
use crate::access_log::Log;
use crate::proxy::{Plan, Shared, Tending};
use crate::tls;

/// A cheap handle to a running server.
#[derive(Debug, Clone)]
pub struct Handle {
    in_force: Arc<ArcSwap<Shared>>,
    control: Arc<Control>,
    files: Files,
    places: Arc<Mutex<Places>>,
}

/// How often what holds much of a limit for long is looked for, and so how often it is said.
const LOOK: Duration = Duration::from_secs(60);

impl Handle {
    pub(super) fn new(
        in_force: Arc<ArcSwap<Shared>>,
        control: Arc<Control>,
        files: Files,
        places: Arc<Mutex<Places>>,
    ) -> Self {
        Handle { in_force, control, files, places }
    }

    /// The routes and limits in force.
    pub fn proxy(&self) -> Arc<Shared> {
        self.in_force.load_full()
    }

    /// Puts another plan and other settings in force, at once and as a whole, with `log` for what becomes of requests. Requests that are under way go on by the plan,
    /// and connections that are open by the settings, that they began with. Of the settings, `threads` and
    /// `tcp_keepalive` stay as they are. Calls `begin` just before that, when nothing can fail any more. Resolves when the
    /// places that are listened at no more are closed.
    ///
    /// # Errors
    /// What a start would fail with; nothing has changed then.
    ///
    /// # Cancel safety
    /// Dropping this leaves either everything as it was or the new configuration in force.
    pub async fn reload(
        &self,
        settings: Settings,
        plan: Plan,
        log: Option<Log>,
        begin: impl FnOnce(),
    ) -> Result<(), StartError> {
        let mut places = self.places.lock().await;
        let settings = self.following(settings);
        let new = places.bind(&settings).map_err(StartError::listen)?;
        let shared = self.in_force.load().follow(plan, log).map_err(StartError::Routes)?;
        begin();
        self.in_force.store(Arc::new(shared));
        self.control.crowd.set_most(settings.max_connections.get());
        self.control.settings.store(settings.clone());
        let leaving = places.follow(&settings, new, &self.control);
        self.control.reloaded.notify_one();
        leaving.close().await;
        Ok(())
    }

    /// Whether all new places of `settings` can be listened at, as far as that can be told without doing so.
    ///
    /// # Errors
    /// The place that can't, and why.
    pub async fn can_listen(&self, settings: &Settings) -> Result<(), StartError> {
        self.places.lock().await.can_bind(settings).map_err(StartError::listen)
    }

    /// The settings that follow those in force.
    fn following(&self, mut next: Settings) -> Arc<Settings> {
        let now = self.control.settings.load();
        next.threads = now.threads;
        next.tcp_keepalive = now.tcp_keepalive;
        if next.tls == now.tls {
            // Of the same files; with the one that is in force, clients can come back on their tickets.
            next.tls.clone_from(&now.tls);
        }
        Arc::new(next)
    }

    /// Looks after the upstreams that are in force: names, health. Also says what holds much of a limit for long. Never ends. To be run once, on a runtime that serves no
    /// requests.
    pub async fn tend(&self) {
        let mut tending = Tending::default();
        let mut look = Instant::now() + LOOK;
        loop {
            tending.follow(&self.proxy());
            let reloaded = self.control.reloaded.notified();
            tokio::pin!(reloaded);
            while timeout_at(look, reloaded.as_mut()).await.is_err() {
                self.proxy().warn_of_lasting();
                look = Instant::now() + LOOK;
            }
        }
    }

    /// Looks at once at the files of certificates, keys and CAs, and uses what has changed.
    pub fn check_files(&self) {
        self.files.check();
    }

    /// The files of the certificates that clients and upstreams are shown, and until when each is valid.
    pub fn certificates(&self) -> Vec<(PathBuf, SystemTime)> {
        let mut certificates =
            self.control.settings.load().tls.as_ref().map(tls::Server::not_after).unwrap_or_default();
        certificates.extend(self.proxy().certificates());
        certificates.sort();
        // Two may use one file; the one that is over first is what matters.
        certificates.dedup_by(|later, earlier| later.0 == earlier.0);
        certificates
    }

    /// Whether it is on its way out, from the first moment of the drain on.
    pub fn is_draining(&self) -> bool {
        self.control.is_draining()
    }

    /// Open client connections.
    pub fn connections(&self) -> usize {
        self.control.crowd.open()
    }

    /// Connections that were closed because their PROXY header was missing or broken.
    pub fn failed_introductions(&self) -> u64 {
        self.control.introductions.failed()
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

    /// Counts a reload that was not only tried.
    pub fn count_reload(&self, in_force: bool) {
        self.control.reloads.count(in_force);
    }

    /// How many there have been.
    pub fn reloads(&self) -> ReloadCounts {
        self.control.reloads.counts()
    }

    /// Resolves when somebody has [asked](Handle::ask_to_reload). Dropping this loses no wish.
    pub async fn asked_to_reload(&self) -> Wish {
        self.control.reloads.next().await
    }
}
