//! A new configuration for a running server.

use super::run::with_causes;
use super::{print_error, print_warnings, supervisor};
use crate::admin;
use crate::config::{self, Loaded, Settings, Sources};
use crate::proxy::{Changes, Difference, Plan};
use crate::server::{Handle, Listen, Outcome, Refused, Reloaded, StartError};

/// Loads the same sources again, and puts what they say in force.
#[derive(Debug)]
pub(super) struct Reloader {
    sources: Sources,
    /// What it was started with. Some of it takes a restart to change.
    started: Settings,
    /// Where it listens.
    listening: Vec<Listen>,
    /// What is in force, as it was written.
    plan: Plan,
    handle: Handle,
}

impl Reloader {
    pub(super) fn new(sources: Sources, started: Settings, handle: Handle) -> Self {
        let plan = started.plan.clone();
        let listening = started.server.listen.clone();
        Reloader { sources, started, listening, plan, handle }
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
        outcome
    }

    async fn load(&mut self, dry_run: bool) -> Outcome {
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
        let restart = changed.iter().map(|what| format!("{what} has changed: that takes a restart"));
        let warnings_shown = warnings.iter().map(ToString::to_string).chain(restart).collect();
        let (routes, limits) = (settings.plan.routes.len(), settings.plan.limits.len());
        let changes = self.changes(&settings);
        let reloaded = Reloaded { routes, limits, changes, warnings: warnings_shown };
        if dry_run {
            return self.handle.can_listen(&settings.server).await.map(|()| reloaded).map_err(|error| refused(&error));
        }
        print_warnings(&warnings);
        for what in changed {
            tracing::warn!("{what} has changed: that takes a restart, and the rest goes on without it");
        }
        match self.handle.reload(settings.server.clone(), settings.plan.clone()).await {
            Ok(()) => {
                self.listening = settings.server.listen;
                self.plan = settings.plan;
                tracing::info!(routes, limits, "the new configuration is in force");
                // They may have changed where the configuration has not.
                self.handle.check_files();
                Ok(reloaded)
            }
            Err(error) => {
                let refused = refused(&error);
                print_error(format_args!("error: {}", refused.problems.join("\n")));
                tracing::error!("the new configuration was refused; the one before it stays in force");
                Err(refused)
            }
        }
    }

    /// What is different by name.
    fn changes(&self, settings: &Settings) -> Changes {
        let places = |listen: &[Listen]| listen.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (before, after) = (places(&self.listening), places(&settings.server.listen));
        let before = before.iter().map(|place| (place.as_str(), ()));
        let listeners = Difference::between(before, after.iter().map(|place| (place.as_str(), ())));
        Changes { listeners, ..self.plan.changes(&settings.plan) }
    }

    /// The keys and tables that have changed, and take a restart.
    fn changed(&self, settings: &Settings) -> Vec<&'static str> {
        let Settings { server, admin, log_level, access_log, log_format, log_lines, .. } = &self.started;
        let token = |admin: &admin::Settings| admin.token.as_ref().map(|token| token.reveal().to_owned());
        let log = (log_level, access_log, log_format, log_lines);
        let same = [
            ("server.threads", settings.server.threads == server.threads),
            ("server.tcp_keepalive", settings.server.tcp_keepalive == server.tcp_keepalive),
            ("admin.listen", settings.admin.listen == admin.listen),
            ("admin.token", token(&settings.admin) == token(admin)),
            ("admin.dashboard", settings.admin.dashboard == admin.dashboard),
            ("[tracing]", settings.tracing == self.started.tracing),
            ("[log]", (&settings.log_level, &settings.access_log, &settings.log_format, &settings.log_lines) == log),
        ];
        same.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect()
    }
}

fn refused(error: &StartError) -> Refused {
    Refused { problems: vec![with_causes(error)] }
}
