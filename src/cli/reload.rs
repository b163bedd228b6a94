//! A new configuration for a running server.

use super::{print_error, print_warnings};
use crate::config::{self, Loaded, Settings, Sources};
use crate::server::Handle;

/// Loads the same sources again, and puts what they say in force.
#[derive(Debug)]
pub(super) struct Reloader {
    sources: Sources,
    /// What it was started with, and goes on with.
    started: Settings,
    handle: Handle,
}

impl Reloader {
    pub(super) fn new(sources: Sources, started: Settings, handle: Handle) -> Self {
        Reloader { sources, started, handle }
    }

    /// All or nothing: what is wrong is said, and the running configuration stays.
    pub(super) fn reload(&self) {
        let Loaded { settings, warnings } = match config::load(&self.sources) {
            Ok(loaded) => loaded,
            Err(error) => {
                print_error(error);
                tracing::error!("the new configuration was refused; the one before it stays in force");
                return;
            }
        };
        print_warnings(&warnings);
        let Settings { server, admin, log_level, access_log, log_format, .. } = &self.started;
        let log = (log_level, access_log, log_format);
        for (table, same) in [
            ("[server]", settings.server == *server),
            ("[admin]", settings.admin.listen == admin.listen),
            ("[log]", (&settings.log_level, &settings.access_log, &settings.log_format) == log),
        ] {
            if !same {
                tracing::warn!("{table} has changed: that takes a restart, and the rest goes on without it");
            }
        }
        let (routes, limits) = (settings.plan.routes.len(), settings.plan.limits.len());
        match self.handle.reload(settings.plan) {
            Ok(()) => tracing::info!(routes, limits, "the new configuration is in force"),
            // Loading has looked for these already.
            Err(conflicts) => tracing::error!(pairs = conflicts.len(), "routes conflict; nothing has changed"),
        }
        // They may have changed where the configuration has not.
        self.handle.check_files();
    }
}
