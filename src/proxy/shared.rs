//! What is in force: the routes with their limits and upstreams, made from a plan, and made anew from the next.

use std::collections::{HashMap, HashSet};
use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use http::HeaderValue;

use super::adaptive;
use super::claim::KeyRules;
use super::connections::Needed;
use super::names::Names;
use super::preflight::Preflight;
use super::recent::Recent;
use super::registry::{Phase, Registry};
use super::sampling::Sampled;
use super::seldom::Seldom;
use super::settings::{Measured, Plan, ResponseHeaders, RouteSettings, Upgrade};
use super::traffic::{Traffic, TrafficCounts};
use crate::access_log::{Log, Readers, TraceCounts};
use crate::admission::{self, Adaptive, Limiter, Limits, Reason, default_queue};
use crate::route::{Conflict, Table};
use crate::tls;
use crate::upstream::{self, EndpointStatus, SecretHeader, Upstream, UpstreamCounts};

/// What the workers share: the routes with their limits, and the upstreams with their connections.
#[derive(Debug)]
pub struct Shared {
    pub(super) workers: usize,
    pub(super) readers: Readers,
    pub(super) routes: Table<Arc<Route>>,
    pub(super) all_routes: Vec<Arc<Route>>,
    limiters: Vec<Limiter>,
    /// What finds those of them that find themselves.
    pub(super) adaptive: Vec<Adaptive>,
    /// Limits of earlier plans that are not done with: a plan that brings one back must not begin it at zero.
    pub(super) retired: Vec<Limiter>,
    pub(super) upstreams: Vec<Arc<Upstream>>,
    pub(super) preflight: Preflight,
    pub(super) response_headers: ResponseHeaders,
    recent: Arc<Recent>,
    registry: Arc<Registry>,
}

/// An upstream that may outlive its plan.
type Known = Arc<Upstream>;

/// A route with its limit and its way upstream.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) settings: RouteSettings,
    /// `None` for `limit = "none"`.
    pub(super) limits: Option<Limits>,
    /// How each of them tells whose a request is. Empty where none does.
    pub(super) keys: Vec<Option<KeyRules>>,
    pub(super) upstream: Arc<Upstream>,
    /// The `host:port` of the upstream's first endpoint; a socket's is `localhost`.
    pub(super) authority: HeaderValue,
    pub(super) names: Names,
    /// The places of upgraded connections, where they have or once had their own.
    upgrades: Option<Limiter>,
    /// Rejections by its limits, by reason. It outlives the plan.
    rejected: Arc<[AtomicU64; Reason::ALL.len()]>,
    /// What has become of its requests. That outlives the plan, too.
    pub(super) traffic: Arc<Traffic>,
    /// Which of its limits want to know how long the upstream takes.
    pub(super) sampled: Sampled,
    /// Where those that were turned away are kept for a while; one for all routes.
    pub(super) recent: Arc<Recent>,
    /// When it was last said that an endpoint of its upstream can't be reached.
    unreachable: Seldom,
}

impl Shared {
    /// Makes the routes, limits and upstreams of `plan`, for `workers` workers. What becomes of requests goes to `readers`.
    ///
    /// # Errors
    /// The pairs of routes that one request could match equally well.
    ///
    /// # Panics
    /// When an index of a route is not one of the plan.
    pub fn try_new(plan: Plan, workers: usize, readers: Readers) -> Result<Self, Vec<Conflict>> {
        let nothing = Shared {
            workers,
            readers,
            routes: Table::try_new(Vec::new())?,
            all_routes: Vec::new(),
            limiters: Vec::new(),
            adaptive: Vec::new(),
            retired: Vec::new(),
            upstreams: Vec::new(),
            preflight: plan.preflight,
            response_headers: ResponseHeaders::default(),
            recent: Arc::default(),
            registry: Arc::new(Registry::new(workers)),
        };
        nothing.follow(plan, nothing.readers.log.clone())
    }

    /// What is in force after this, by the next plan, with `log` for requests to come. Limits of the same name stay what
    /// they are, with permits, waiters and counts, and take the new settings at once; unchanged upstreams keep connections.
    ///
    /// # Errors
    /// As [`try_new`](Shared::try_new); nothing has changed then.
    pub fn follow(&self, mut plan: Plan, log: Option<Log>) -> Result<Self, Vec<Conflict>> {
        // By name once, and not once for each name: a reload of thousands takes a moment, not their product.
        let known: HashMap<_, _> = self.upstreams.iter().map(|known| (known.settings().name.as_str(), known)).collect();
        let upstreams: Vec<_> = std::mem::take(&mut plan.upstreams)
            .into_iter()
            .map(|settings| self.upstream(known.get(settings.name.as_str()).copied(), settings))
            .collect();
        let known: HashMap<_, _> =
            self.retired.iter().chain(&self.limiters).map(|limiter| (limiter.name(), limiter)).collect();
        let limiter = |settings: &admission::Settings| match known.get(settings.name.as_str()) {
            Some(&same) => same.clone(),
            None => Limiter::new(settings.clone()),
        };
        let limiters: Vec<_> = plan.limits.iter().map(limiter).collect();
        let adaptive = adaptive::of_plan(&plan, &limiters, self);
        let known: HashMap<_, _> =
            self.all_routes.iter().map(|route| (route.settings.name.as_str(), &**route)).collect();
        let routes: Vec<_> = std::mem::take(&mut plan.routes)
            .into_iter()
            .map(|settings| {
                let before = known.get(settings.name.as_str()).copied();
                let sampled = adaptive::sampled(&settings.limits, &adaptive);
                Arc::new(Route { sampled, ..Route::new(settings, &limiters, &plan.keys, &upstreams, before, self) })
            })
            .collect();
        let table = routes.iter().map(|route| (route.settings.conditions.clone(), route.clone())).collect();
        let go_on: HashSet<&str> = limiters.iter().map(Limiter::name).collect();
        let is_in_use = |limiter: &&Limiter| {
            !go_on.contains(limiter.name())
                && (limiter.in_flight() > 0 || limiter.queue_len() > 0 || limiter.is_overridden())
        };
        let retired = self.limiters.iter().chain(&self.retired).filter(is_in_use).cloned().collect();
        drop(go_on);
        let next = Shared {
            workers: self.workers,
            readers: Readers { log, ..self.readers.clone() },
            routes: Table::try_new(table)?,
            all_routes: routes,
            limiters,
            adaptive: adaptive.iter().flatten().cloned().collect(),
            retired,
            upstreams,
            preflight: plan.preflight,
            response_headers: plan.response_headers,
            recent: self.recent.clone(),
            registry: self.registry.clone(),
        };
        // Nothing can fail any more.
        next.all_routes.iter().for_each(|route| route.reconfigure_upgrades(&plan.limits));
        // Those of upstreams that stay: loading the plan has shown that they can be used.
        next.secrets().for_each(SecretHeader::check);
        let before: HashSet<_> = self.upstreams.iter().map(Arc::as_ptr).collect();
        let is_new = |upstream: &&Arc<_>| !before.contains(&Arc::as_ptr(upstream));
        next.upstreams.iter().filter(is_new).for_each(|upstream| upstream.put_in_force());
        for Measured { limit, upstream, queue_follows } in &plan.measured {
            let settings = &mut plan.limits[*limit];
            settings.limit = next.upstreams[*upstream].slots();
            settings.queue = if *queue_follows { default_queue(settings.limit) } else { settings.queue };
        }
        adaptive::put_in_force(&plan.adaptive, &mut plan.limits, &adaptive);
        for (limiter, settings) in next.limiters.iter().zip(plan.limits) {
            limiter.reconfigure(settings);
        }
        next.measure(&plan.measured);
        next.bound_connections();
        Ok(next)
    }

    fn upstream(&self, before: Option<&Known>, settings: upstream::Settings) -> Known {
        match before {
            Some(same) if *same.settings() == settings => same.clone(),
            Some(before) => Arc::new(before.with(settings)),
            None => Arc::new(Upstream::new(settings, self.workers)),
        }
    }

    /// Has the limits that are measured follow their upstreams.
    fn measure(&self, measured: &[Measured]) {
        let mut followers: Vec<Vec<_>> = vec![Vec::new(); self.upstreams.len()];
        for each in measured {
            followers[each.upstream].push((self.limiters[each.limit].clone(), each.queue_follows));
        }
        for (upstream, limiters) in self.upstreams.iter().zip(followers) {
            let tell = move |slots| {
                limiters.iter().for_each(|(limiter, queue_follows)| limiter.set_measured(slots, *queue_follows));
            };
            upstream.tell_slots(Box::new(tell));
        }
    }

    /// Whether a key of a limit can be shown as `text`: of secrets only the beginning is known.
    pub fn may_show_key(&self, limit: &Limiter, text: &str) -> bool {
        self.all_routes.iter().all(|route| {
            let limiters = route.limits.as_ref().map_or(&[][..], Limits::limiters).iter();
            let of_limit = route.keys.iter().zip(limiters).find(|(_, limiter)| limiter.name() == limit.name());
            of_limit.is_none_or(|(rules, _)| rules.as_ref().is_none_or(|rules| rules.expression.may_show(text)))
        })
    }

    /// Has the upstreams know how many connections they can need.
    fn bound_connections(&self) {
        for (upstream, needed) in self.upstreams.iter().zip(Needed::of_all(self)) {
            upstream.bound_connections(Box::new(move || needed.count()));
        }
    }

    /// All limits, in the order of the plan.
    pub fn limiters(&self) -> &[Limiter] {
        &self.limiters
    }

    /// What finds the limits that find themselves, or is a shadow beside them, in the order of the plan.
    pub fn adaptive(&self) -> &[Adaptive] {
        &self.adaptive
    }

    /// All routes, in the order of the plan: their settings, and how many requests their limits have rejected.
    pub fn routes(&self) -> impl Iterator<Item = (&RouteSettings, [(Reason, u64); Reason::ALL.len()])> {
        self.all_routes.iter().map(|route| {
            let rejected = Reason::ALL.map(|reason| (reason, route.rejected[reason as usize].load(Relaxed)));
            (&route.settings, rejected)
        })
    }

    /// Looks at the files that upstreams and values of headers are made of, and uses what has changed. It blocks on the
    /// file system.
    pub fn check_files(&self) {
        self.secrets().for_each(SecretHeader::check);
        self.upstreams.iter().filter_map(|upstream| upstream.settings().tls.as_ref()).for_each(tls::Client::check);
    }

    /// The files of the certificates that upstreams are shown, and until when each is valid.
    pub fn certificates(&self) -> impl Iterator<Item = (PathBuf, SystemTime)> {
        self.upstreams.iter().filter_map(|upstream| upstream.settings().tls.as_ref()?.not_after())
    }

    /// The last requests that were turned away. One ring for all plans.
    pub fn recent(&self) -> &Arc<Recent> {
        &self.recent
    }

    /// Lines of the access log that its reader was too slow for, and rejections that were too many to be written.
    pub fn unlogged(&self) -> (u64, u64) {
        self.readers.log.as_ref().map_or((0, 0), |log| (log.dropped(), log.suppressed()))
    }

    /// What has become of the spans of traced requests; `None` where none is traced.
    pub fn trace_counts(&self) -> Option<&TraceCounts> {
        self.readers.tracer.as_ref().map(|tracer| &**tracer.counts())
    }

    /// What has become of requests: the routes' names, and their counts. Without a name: those that no route took.
    pub fn traffic(&self) -> impl Iterator<Item = (&str, TrafficCounts)> {
        let routes = self.all_routes.iter().map(|route| (route.settings.name.as_str(), route.traffic.read()));
        routes.chain([("", self.registry.unrouted())])
    }

    /// How many requests of each of these phases hold a permit of each limit, by its name.
    pub fn in_phases<const N: usize>(&self, phases: [Phase; N]) -> Vec<(&str, [u64; N])> {
        let counts = self.registry.count(phases);
        let mut limits: Vec<_> = self.limiters.iter().map(|limiter| (limiter.name(), [0; N])).collect();
        for route in &self.all_routes {
            let Some(of_route) = counts.get(&route.names.route) else { continue };
            let taken = route.limits.as_ref().map_or(&[][..], Limits::limiters);
            for (_, of_limit) in limits.iter_mut().filter(|(name, _)| taken.iter().any(|taken| taken.name() == *name)) {
                for ((phase, sum), count) in phases.iter().zip(of_limit).zip(of_route) {
                    // Upgraded connections may have places of their own.
                    *sum += if *phase == Phase::Upgraded && route.upgrades().is_some() { 0 } else { *count };
                }
            }
        }
        limits
    }

    /// Those that are under way. One registry for all plans.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    fn secrets(&self) -> impl Iterator<Item = &SecretHeader> {
        self.upstreams.iter().flat_map(|upstream| &upstream.settings().secret_headers)
    }

    /// All upstreams, in the order of the plan: their names, and how their endpoints are.
    pub fn upstreams(&self) -> impl Iterator<Item = (&str, Vec<EndpointStatus>)> {
        self.upstreams.iter().map(|upstream| (upstream.settings().name.as_str(), upstream.endpoints()))
    }

    /// All upstreams, in the order of the plan: their names, and what is counted of them.
    pub fn upstream_counts(&self) -> impl Iterator<Item = (&str, UpstreamCounts)> {
        self.upstreams.iter().map(|upstream| (upstream.settings().name.as_str(), upstream.counts()))
    }

    /// Has an endpoint of an upstream get no new requests, by the word of `by`, or with `None` as before. Whether there is one
    /// of this name.
    pub fn drain_endpoint(&self, upstream: &str, endpoint: &str, by: Option<&str>) -> bool {
        let upstream = self.upstreams.iter().find(|other| other.settings().name == upstream);
        upstream.is_some_and(|upstream| upstream.drain(endpoint, by))
    }
}

impl Route {
    fn new(
        settings: RouteSettings,
        limiters: &[Limiter],
        keys: &[Option<KeyRules>],
        upstreams: &[Arc<Upstream>],
        before: Option<&Route>,
        of: &Shared,
    ) -> Self {
        let upstream = upstreams[settings.upstream].clone();
        let authority = upstream.settings().endpoints[0].authority(upstream.settings().protocol);
        let limits = Limits::new(settings.limits.iter().map(|limit| limiters[*limit].clone()).collect());
        let keys: Vec<_> = settings.limits.iter().map(|limit| keys.get(*limit).cloned().flatten()).collect();
        let keys = if keys.iter().any(Option::is_some) { keys } else { Vec::new() };
        let rejected = before.map(|route| route.rejected.clone()).unwrap_or_default();
        let traffic = before.map_or_else(|| Arc::new(Traffic::new(of.workers)), |route| route.traffic.clone());
        // Kept while it is not in force: tunnels last long.
        let upgrades = before.and_then(|route| route.upgrades.clone()).or_else(|| match settings.upgrade {
            Upgrade::Separate(places) => Some(Limiter::new(upgrade_settings(&settings.name, places))),
            Upgrade::Count | Upgrade::Deny => None,
        });
        let names = Names::new(&settings.name, &upstream.settings().name, limits.as_ref());
        Route {
            settings,
            limits,
            keys,
            upstream,
            authority,
            names,
            upgrades,
            rejected,
            traffic,
            sampled: None,
            recent: of.recent.clone(),
            unreachable: Seldom::new(),
        }
    }

    /// Tells the operator why an endpoint of its upstream can't be reached, which no answer does.
    pub(super) fn say_unreached(&self, endpoint: &str, error: &io::Error) {
        if self.unreachable.is_time(SystemTime::now()) {
            let upstream = &*self.names.upstream;
            tracing::warn!(upstream, endpoint, %error, "an endpoint can't be reached (said once a minute for a route)");
        }
    }

    /// Whether any of its limits has a cap for keys.
    pub(super) fn has_quotas(&self) -> bool {
        let limiters = self.limits.as_ref().map_or(&[][..], Limits::limiters);
        limiters.iter().any(Limiter::counts_by_key)
    }

    /// The places of upgraded connections, where they have their own.
    pub(super) fn upgrades(&self) -> Option<&Limiter> {
        self.upgrades.as_ref().filter(|_| matches!(self.settings.upgrade, Upgrade::Separate(_)))
    }

    /// The places only count where all of its limits do.
    fn reconfigure_upgrades(&self, limits: &[admission::Settings]) {
        if let (Some(upgrades), Upgrade::Separate(places)) = (&self.upgrades, self.settings.upgrade) {
            let mut own = self.settings.limits.iter();
            let dry_run = own.len() > 0 && own.all(|limit| limits[*limit].dry_run);
            upgrades.reconfigure(admission::Settings { dry_run, ..upgrade_settings(&self.settings.name, places) });
        }
    }

    pub(super) fn count_rejection(&self, reason: Reason) {
        self.rejected[reason as usize].fetch_add(1, Relaxed);
    }
}

/// Nobody waits for a place: the upstream has agreed already.
fn upgrade_settings(route: &str, places: NonZeroU32) -> admission::Settings {
    admission::Settings { queue: 0, ..admission::Settings::new(route, places) }
}
