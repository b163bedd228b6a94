//! A new configuration for a running server.

use std::error::Error;
use std::sync::Arc;

use super::in_force::InForce;
use super::logs::Logs;
use super::run::with_causes;
use super::{print_error, print_warnings, supervisor};
use crate::admin::Desk;
use crate::config::{self, Loaded, Settings, Sources, Written};
use crate::proxy::{Changes, Difference};
use crate::server::{Handle, Outcome, Refused, Reloaded};

/// Loads the same sources again, and puts what they say in force.
#[derive(Debug)]
pub(super) struct Reloader {
    sources: Sources,
    in_force: Arc<InForce>,
    handle: Handle,
    desk: Desk,
    logs: Logs,
}

/// Keys that a running process can't follow: its threads and their sockets are there, and whoever sends spans has its
/// collector.
const STAY: [(&str, &str); 4] =
    [("server", "threads"), ("server", "tcp_keepalive"), ("tracing", "endpoint"), ("tracing", "sample")];

/// Why what is right by itself can't be put in force.
type Cause = Box<dyn Error + Send + Sync>;

impl Reloader {
    pub(super) fn new(sources: Sources, in_force: Arc<InForce>, handle: Handle, desk: Desk, logs: Logs) -> Self {
        Reloader { sources, in_force, handle, desk, logs }
    }

    /// All or nothing: what is wrong is said, and the running configuration stays. With `dry_run` it stays in any case.
    pub(super) async fn reload(&mut self, dry_run: bool) -> Outcome {
        if dry_run {
            return self.load(dry_run).await;
        }
        supervisor::reloading();
        let outcome = self.load(dry_run).await;
        supervisor::reloaded();
        self.handle.count_reload(outcome.is_ok());
        if outcome.is_err() {
            tracing::error!("the new configuration was refused; the one before it stays in force");
        }
        outcome
    }

    /// There will be no more reloads: what is left is to be closed.
    pub(super) fn into_parts(self) -> (Desk, Logs) {
        (self.desk, self.logs)
    }

    async fn load(&mut self, dry_run: bool) -> Outcome {
        let Loaded { mut settings, warnings, mut written } = match config::load(&self.sources) {
            Ok(loaded) => loaded,
            Err(error) => {
                if !dry_run {
                    print_error(&error);
                }
                let config::Error(problems) = error;
                return Err(Refused { problems: problems.iter().map(ToString::to_string).collect() });
            }
        };
        let mut changes = self.changes(&settings, &written);
        let stays = |(table, key): &(&str, &str)| changes.settings.changed.contains(&format!("{table}.{key}"));
        let restart: Vec<String> = STAY
            .into_iter()
            .filter(stays)
            .map(|(table, key)| {
                written.keep(table, key, &self.in_force.written);
                format!("{table}.{key} has changed: that takes a restart")
            })
            .collect();
        // They are not in force then, either.
        changes.settings.changed.retain(|path| !STAY.iter().any(|(table, key)| *path == format!("{table}.{key}")));
        let Settings { server: before, tracing, .. } = &self.in_force.settings;
        (settings.server.threads, settings.server.tcp_keepalive) = (before.threads, before.tcp_keepalive);
        settings.tracing.clone_from(tracing);

        let shown = warnings.iter().map(ToString::to_string).chain(restart.iter().cloned()).collect();
        let (routes, limits) = (settings.plan.routes.len(), settings.plan.limits.len());
        let reloaded = Reloaded { routes, limits, changes, warnings: shown };
        if dry_run {
            return self.try_out(&settings).await.map(|()| reloaded).map_err(|error| refused(&*error));
        }
        print_warnings(&warnings);
        for what in restart {
            tracing::warn!("{what}, and the rest goes on without it");
        }
        match self.put_in_force(settings, written).await {
            Ok(()) => {
                tracing::info!(routes, limits, "the new configuration is in force");
                // They may have changed where the configuration has not.
                self.handle.check_files();
                Ok(reloaded)
            }
            Err(error) => {
                let refused = refused(&*error);
                print_error(format_args!("error: {}", refused.problems.join("\n")));
                Err(refused)
            }
        }
    }

    /// Whether all of it could be had.
    async fn try_out(&self, settings: &Settings) -> Result<(), Cause> {
        self.desk.can_follow(&settings.admin)?;
        Logs::can_follow(settings)?;
        Ok(self.handle.can_listen(&settings.server).await?)
    }

    /// Makes ready what can fail before anything changes.
    async fn put_in_force(&mut self, settings: Settings, written: Written) -> Result<(), Cause> {
        let moving = self.desk.prepare(&settings.admin)?;
        let mut logs = self.logs.prepare(&settings)?;
        let log = logs.log.clone();
        let begin = || self.logs.begin(&mut logs);
        self.handle.reload(settings.server.clone(), settings.plan.clone(), log, begin).await?;
        self.logs.follow(logs);
        self.in_force = Arc::new(InForce { settings, written });
        self.desk.follow(&self.in_force.settings.admin, moving, self.in_force.clone()).await;
        Ok(())
    }

    /// What is different by name.
    fn changes(&self, settings: &Settings, written: &Written) -> Changes {
        let InForce { settings: now, written: written_now } = &*self.in_force;
        let (before, after) = (places(now), places(settings));
        let before = before.iter().map(|place| (place.as_str(), ()));
        let listeners = Difference::between(before, after.iter().map(|place| (place.as_str(), ())));
        // Where to listen is said with its places.
        let mut changed = written_now.changed(written);
        changed.retain(|key| key != "server.listen" && key != "admin.listen");
        let settings_changed = Difference { changed, ..Difference::default() };
        Changes { listeners, settings: settings_changed, ..now.plan.changes(&settings.plan) }
    }
}

/// Where clients and operators are listened to.
fn places(settings: &Settings) -> Vec<String> {
    let admin = settings.admin.listen.iter().map(|listen| format!("admin {listen}"));
    settings.server.listen.iter().map(ToString::to_string).chain(admin).collect()
}

fn refused(error: &(dyn Error + 'static)) -> Refused {
    Refused { problems: vec![with_causes(error)] }
}
