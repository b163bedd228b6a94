//! A new configuration for a running server.

use super::{print_error, print_warnings};
use crate::config::{self, Loaded, Settings, Sources};
use crate::proxy::{Changes, Difference, Plan};
use crate::server::{Handle, Outcome, Refused, Reloaded};

/// Loads the same sources again, and puts what they say in force.
#[derive(Debug)]
pub(super) struct Reloader {
    sources: Sources,
    /// What it was started with, and goes on with.
    started: Settings,
    /// What is in force, as it was written.
    plan: Plan,
    handle: Handle,
}

impl Reloader {
    pub(super) fn new(sources: Sources, started: Settings, handle: Handle) -> Self {
        let plan = started.plan.clone();
        Reloader { sources, started, plan, handle }
    }

    /// All or nothing: what is wrong is said, and the running configuration stays. With `dry_run` it stays in any case.
    pub(super) fn reload(&mut self, dry_run: bool) -> Outcome {
        let outcome = self.load(dry_run);
        if !dry_run {
            self.handle.count_reload(outcome.is_ok());
        }
        outcome
    }

    fn load(&mut self, dry_run: bool) -> Outcome {
        let Loaded { settings, warnings } = match config::load(&self.sources) {
            Ok(loaded) => loaded,
            Err(error) => {
                if !dry_run {
                    print_error(&error);
                    tracing::error!("the new configuration was refused; the one before it stays in force");
                }
                let config::Error(problems) = error;
                return Err(Refused { problems: problems.iter().map(ToString::to_string).collect() });
            }
        };
        let changed = self.changed(&settings);
        let restart = changed.iter().map(|table| format!("{table} has changed: that takes a restart"));
        let warnings_shown = warnings.iter().map(ToString::to_string).chain(restart).collect();
        let (routes, limits) = (settings.plan.routes.len(), settings.plan.limits.len());
        let changes = self.changes(&settings);
        let reloaded = Reloaded { routes, limits, changes, warnings: warnings_shown };
        if dry_run {
            return Ok(reloaded);
        }
        print_warnings(&warnings);
        for table in changed {
            tracing::warn!("{table} has changed: that takes a restart, and the rest goes on without it");
        }
        match self.handle.reload(settings.plan.clone()) {
            Ok(()) => {
                self.plan = settings.plan;
                tracing::info!(routes, limits, "the new configuration is in force");
                // They may have changed where the configuration has not.
                self.handle.check_files();
                Ok(reloaded)
            }
            // Loading has looked for these already.
            Err(conflicts) => {
                tracing::error!(pairs = conflicts.len(), "routes conflict; nothing has changed");
                Err(Refused { problems: vec!["routes conflict".to_owned()] })
            }
        }
    }

    /// What is different by name.
    fn changes(&self, settings: &Settings) -> Changes {
        let places = |settings: &Settings| settings.server.listen.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (before, after) = (places(&self.started), places(settings));
        let before = before.iter().map(|place| (place.as_str(), ()));
        let listeners = Difference::between(before, after.iter().map(|place| (place.as_str(), ())));
        Changes { listeners, ..self.plan.changes(&settings.plan) }
    }

    /// The tables that have changed, and take a restart.
    fn changed(&self, settings: &Settings) -> Vec<&'static str> {
        let Settings { server, admin, log_level, access_log, log_format, log_lines, .. } = &self.started;
        let log = (log_level, access_log, log_format, log_lines);
        let same = [
            ("[server]", settings.server == *server),
            ("[admin]", settings.admin.listen == admin.listen),
            ("[log]", (&settings.log_level, &settings.access_log, &settings.log_format, &settings.log_lines) == log),
        ];
        same.into_iter().filter(|(_, same)| !same).map(|(table, _)| table).collect()
    }
}
