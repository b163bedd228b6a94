//! `run`: serve.

use std::io::{self, IsTerminal};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::changed::Watched;
use super::open_files;
use super::reload::Reloader;
use super::{Ending, print_error, supervisor};
use crate::access_log::{Readers, Writer};
use crate::admin;
use crate::config::{Settings, Sources};
use crate::proxy::{Plan, RouteSettings};
use crate::server::Server;
use crate::traces::Exporter;

/// Serves until a signal or the admin listener says to stop, then drains. SIGHUP loads `sources` again,
/// and so does a change of the files that are watched.
pub(super) fn run(settings: Settings, sources: Sources, watched: Option<Watched>) -> Ending {
    log_to_stderr(settings.log_level.as_deref());
    // Signals, the drain and the admin listener; requests are served by the workers' own runtimes.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    runtime.block_on(serve(settings, sources, watched))
}

async fn serve(settings: Settings, sources: Sources, mut watched: Option<Watched>) -> Ending {
    // Before anything is started: a signal that comes now is not lost.
    let (mut terminate, mut interrupt, mut hang_up) = match signals() {
        Ok(signals) => signals,
        Err(error) => return failed(&error),
    };
    if let Some(files) = open_files::raise_limit()
        && settings.server.max_connections.get() as u64 >= files
    {
        let max_connections = settings.server.max_connections;
        tracing::warn!(max_connections, files, "server.max_connections is beyond the limit of open files (ulimit -n)");
    }
    let summary = summary(&settings.plan);
    let started = settings.clone();
    // Also before anything is started: where it can't listen, no request is taken.
    let admin = match admin::Listener::bind(&settings.admin) {
        Ok(admin) => admin,
        Err(error) => return failed(&error),
    };
    let access_log = match Writer::start(settings.access_log, settings.log_format, settings.log_lines) {
        Ok(access_log) => access_log,
        Err(error) => return failed(&error),
    };
    let (tracer, traces) = Exporter::start(settings.tracing).unzip();
    let readers = Readers { log: access_log.as_ref().map(Writer::log), tracer };
    let server = match Server::start(settings.server, settings.plan, readers) {
        Ok(server) => server,
        Err(error) => return failed(&error),
    };
    let listening: Vec<String> = server.listening().iter().map(ToString::to_string).collect();
    let handle = server.handle();
    let admin_url = admin.as_ref().map_or_else(|| "off".to_owned(), admin::Listener::url);
    let admin = match admin.map(|admin| admin.serve(handle.clone())).transpose() {
        Ok(admin) => admin,
        Err(error) => return failed(&error),
    };
    let start_line = format!("listening on {}, {summary}, admin {admin_url}", listening.join(" and "));
    print_error(format_args!("sluicegate: {start_line}"));
    supervisor::ready(&start_line);

    let mut reloader = Reloader::new(sources, started, handle.clone());
    let tended = handle.clone();
    let tending = tokio::spawn(async move { tended.tend().await });
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = handle.asked_to_drain() => break,
            _ = hang_up.recv() => drop(reloader.reload(false).await),
            () = changed(&mut watched) => {
                tracing::info!("the configuration files have changed");
                drop(reloader.reload(false).await);
            }
            wish = handle.asked_to_reload() => {
                let outcome = reloader.reload(wish.dry_run).await;
                wish.answer(outcome);
            }
        }
    }
    tracing::info!("draining");
    supervisor::stopping();
    let drained = tokio::select! {
        drained = server.drain() => drained,
        // Whoever asks twice does not want to wait.
        _ = interrupt.recv() => return Ending::Failed,
    };
    tending.abort();
    if let Some(admin) = admin {
        admin.close().await;
    }
    if let Some(access_log) = access_log {
        access_log.finish();
    }
    if let Some(traces) = traces {
        traces.finish().await;
    }
    if drained.lost > 0 {
        tracing::warn!(lost = drained.lost, "requests were cut at the end of the drain");
        return Ending::Failed;
    }
    tracing::info!("drained");
    Ending::Done
}

/// Resolves when what is watched has changed: never, where nothing is.
async fn changed(watched: &mut Option<Watched>) {
    match watched {
        Some(watched) => watched.changed().await,
        None => std::future::pending().await,
    }
}

/// TERM, INT and HUP.
fn signals() -> io::Result<(Signal, Signal, Signal)> {
    Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?))
}

/// What the start line says about the way of requests.
fn summary(plan: &Plan) -> String {
    let only_counts = !plan.limits.is_empty() && plan.limits.iter().all(|limit| limit.dry_run);
    let dry_run = if only_counts { ", dry run: nothing waits or is rejected" } else { "" };
    match (plan.routes.as_slice(), plan.upstreams.as_slice()) {
        ([route], [upstream]) => {
            format!("upstream {}, {}{dry_run}", upstream.url(), limits(route, plan))
        }
        (routes, upstreams) => format!("{} routes, {} upstreams{dry_run}", routes.len(), upstreams.len()),
    }
}

fn limits(route: &RouteSettings, plan: &Plan) -> String {
    let limits = route.limits.iter().map(|index| &plan.limits[*index]);
    match &limits.collect::<Vec<_>>()[..] {
        [] => "no limit".to_owned(),
        [limit] => format!("limit {}, queue {}", limit.limit, limit.queue),
        several => {
            let several: Vec<String> = several.iter().map(|limit| format!("{} {}", limit.name, limit.limit)).collect();
            format!("limits {}", several.join(" and "))
        }
    }
}

/// Logs to standard error, as `level` says: a level, or directives such as `sluicegate::upstream=debug`. h2 warns of
/// every peer that misbehaves, which is for peers to decide and not for the log: whoever wants it says `h2=warn`.
fn log_to_stderr(level: Option<&str>) {
    let filter = EnvFilter::try_new(format!("h2=error,{}", level.unwrap_or("info")))
        .unwrap_or_else(|_| EnvFilter::new("h2=error,info"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A second call in one process would find a subscriber there; the first one stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .try_init();
}

/// Says what went wrong.
fn failed(error: &(dyn std::error::Error + 'static)) -> Ending {
    print_error(format_args!("error: {}", with_causes(error)));
    Ending::Failed
}

/// An error and all its causes, on one line.
pub(super) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes: Vec<String> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    causes.join(": ")
}
