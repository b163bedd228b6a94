//! `run`: serve.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::changed::Watched;
use super::in_force::InForce;
use super::logs::Logs;
use super::open_files;
use super::reload::Reloader;
use super::{Ending, count, print_error, supervisor};
use crate::access_log::Readers;
use crate::admin::{self, Desk};
use crate::config::Sources;
use crate::proxy::{Plan, RouteSettings};
use crate::server::Server;
use crate::traces::Exporter;

/// Serves until a signal or the admin listener says to stop, then drains. SIGHUP loads `sources` again,
/// and so does a change of the files that are watched.
pub(super) fn run(loaded: InForce, sources: Sources, watched: Option<Watched>) -> Ending {
    let logs = Logs::to_stderr(loaded.settings.log_level.as_deref());
    // Signals, the drain and the admin listener; requests are served by the workers' own runtimes.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    runtime.block_on(serve(Arc::new(loaded), logs, sources, watched))
}

async fn serve(loaded: Arc<InForce>, mut logs: Logs, sources: Sources, mut watched: Option<Watched>) -> Ending {
    let settings = &loaded.settings;
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
    // Also before anything is started: where it can't listen, no request is taken.
    let admin = match admin::Listener::bind(&settings.admin) {
        Ok(admin) => admin,
        Err(error) => return failed_to_listen(&error, ADMIN_ELSEWHERE),
    };
    let access_log = match logs.prepare(settings) {
        Ok(access_log) => access_log,
        Err(error) => return failed(&error),
    };
    let (tracer, traces) = Exporter::start(settings.tracing.clone()).unzip();
    let readers = Readers { log: access_log.log.clone(), tracer };
    let server = match Server::start(settings.server.clone(), settings.plan.clone(), readers) {
        Ok(server) => server,
        Err(error) => return failed_to_listen(&error, ELSEWHERE),
    };
    let listening: Vec<String> = server.listening().iter().map(ToString::to_string).collect();
    let handle = server.handle();
    let admin_url = admin.as_ref().map_or_else(|| "off".to_owned(), admin::Listener::url);
    logs.follow(access_log);
    let desk = Desk::open(handle.clone(), &settings.admin, admin, loaded.clone());
    let start_line = format!("listening on {}, {summary}, admin {admin_url}", listening.join(" and "));
    print_error(format_args!("sluicegate: {start_line}"));
    supervisor::ready(&start_line);

    let mut reloader = Reloader::new(sources, loaded.clone(), handle.clone(), desk, logs);
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
    let (desk, logs) = reloader.into_parts();
    desk.close().await;
    logs.finish();
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
        (routes, upstreams) => {
            format!("{}, {}{dry_run}", count(routes.len(), "route"), count(upstreams.len(), "upstream"))
        }
    }
}

fn limits(route: &RouteSettings, plan: &Plan) -> String {
    match &route.limits[..] {
        [] => "no limit".to_owned(),
        [limit] => format!("limit {}, queue {}", plan.permits(*limit), plan.limits[*limit].queue),
        several => {
            let one = |limit: &usize| format!("{} {}", plan.limits[*limit].name, plan.permits(*limit));
            let several: Vec<String> = several.iter().map(one).collect();
            format!("limits {}", several.join(" and "))
        }
    }
}

/// Says what went wrong.
fn failed(error: &(dyn std::error::Error + 'static)) -> Ending {
    print_error(format_args!("error: {}", with_causes(error)));
    Ending::Failed
}

const ADMIN_ELSEWHERE: &str = "is another sluicegate running? Give this one a place of its own, --admin 127.0.0.1:9902, \
                               or none, --admin off";
const ELSEWHERE: &str = "is another sluicegate running? Give this one a place of its own: --listen 0.0.0.0:8081";

/// The same with where else to listen, if that is what is wrong.
fn failed_to_listen(error: &(dyn std::error::Error + 'static), elsewhere: &str) -> Ending {
    let ending = failed(error);
    let causes = std::iter::successors(Some(error), |error| error.source());
    let kinds = causes.filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    if kinds.into_iter().any(|kind| kind == io::ErrorKind::AddrInUse) {
        print_error(format_args!("  = help: {elsewhere}"));
    }
    ending
}

/// An error and all its causes, on one line.
pub(super) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes: Vec<String> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    causes.join(": ")
}
