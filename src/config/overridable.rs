//! The keys that stand on a route or in `[defaults]`: which limits, and what becomes of a client that leaves.

use std::time::Duration;

use super::claims::Claims;
use super::handling;
use super::limits::{self, Keys, Limit, Limited, Permits};
use super::report::Report;
use super::rewriting;
use super::section::Section;
use super::server::TIMEOUT_OR_ZERO;
use super::shared::SharedLimits;
use super::value::{choice, duration};
use crate::proxy::{ClaimRules, Handling, Rewrite};
use crate::upstream::OnClientGone;

/// What a route or `[defaults]` says.
#[derive(Debug)]
pub(super) struct Overridable {
    limit: Said<Limit>,
    limits: Said<Vec<usize>>,
    /// About the inline limit; those of `[defaults]` hold for shared limits, too.
    pub keys: Keys,
    on_client_gone: Option<OnClientGone>,
    abort_grace: Option<Duration>,
    claims: Claims,
    handling: handling::Keys,
    rewriting: rewriting::Keys,
}

/// What a table says about a key.
#[derive(Debug)]
enum Said<T> {
    Nothing,
    /// Something that cannot be used, which has been reported.
    Wrong,
    This(T),
}

/// What a route and the defaults say together.
#[derive(Debug)]
pub(super) struct Effective {
    /// The route's own limit.
    pub inline: Option<Limited>,
    /// Its shared limits, in the order in which they are acquired.
    pub shared: Vec<usize>,
    pub on_client_gone: OnClientGone,
    pub abort_grace: Duration,
    pub claim: ClaimRules,
    pub handling: Handling,
    pub rewrite: Rewrite,
}

impl Overridable {
    /// Takes the keys out of a section.
    pub(super) fn take(section: &mut Section<'_>, shared: &SharedLimits, report: &Report) -> Self {
        let limit = section.take("limit", limits::limit);
        let limits = shared.take(section, report);
        let overridable = Overridable {
            limit: Said::new(section, "limit", limit),
            limits: Said::new(section, "limits", limits),
            keys: Keys::take(section, report),
            on_client_gone: section.take("on_client_gone", choice(&ON_CLIENT_GONE)),
            abort_grace: section.take("abort_grace", duration(TIMEOUT_OR_ZERO)),
            claims: Claims::take(section),
            handling: handling::Keys::take(section),
            rewriting: rewriting::Keys::take(section, report),
        };
        if matches!(overridable.limit, Said::This(Limit::None)) && section.was_written("limits") {
            let message = "says nothing beside limit = \"none\", which takes no permit of any kind";
            let limit = section.problem("limit", "").place;
            report.error(section.problem("limits", message).also(&limit).help("remove one of the two"));
        }
        overridable
    }

    /// What holds for a route, where its own keys come before the defaults. `None` if that has been reported as wrong.
    pub(super) fn over(
        self,
        defaults: &Overridable,
        name: &str,
        shared_limits: &SharedLimits,
        section: &Section<'_>,
        report: &Report,
    ) -> Option<Effective> {
        let (limit, shared) = self.limits(defaults, section, report)?;
        if limit.is_some() && shared_limits.contains(name) {
            report.error(same_name(name, section, report));
        }
        if limit.is_none() {
            // Only "none" goes without both.
            let (message, help) = if shared.is_empty() {
                let message = "says nothing beside limit = \"none\", which has no queue and rejects nobody";
                (message, "remove one of the two")
            } else {
                let message = "says nothing without a `limit` beside it: shared limits have queues of their own";
                (message, "move it to [limits.NAME], or give the route a `limit`")
            };
            let limit = report.place_of_overridable(section.path(), "limit");
            for key in Keys::names().filter(|key| section.was_written(key)) {
                let problem = section.problem(key, message).help(help);
                report.error(if shared.is_empty() { problem.also(&limit) } else { problem });
            }
        }
        Some(Effective {
            inline: limit.map(|permits| self.keys.settings(name, permits, &defaults.keys, section, report)),
            shared,
            on_client_gone: self.on_client_gone.or(defaults.on_client_gone).unwrap_or_default(),
            abort_grace: self.abort_grace.or(defaults.abort_grace).unwrap_or(Duration::from_secs(30)),
            claim: self.claims.over(&defaults.claims),
            handling: self.handling.over(&defaults.handling),
            rewrite: self.rewriting.over(&defaults.rewriting),
        })
    }

    /// The permits of the route's own limit, and its shared limits. Both are empty for `limit = "none"` alone.
    fn limits(
        &self,
        defaults: &Overridable,
        section: &Section<'_>,
        report: &Report,
    ) -> Option<(Option<Permits>, Vec<usize>)> {
        let limit = match (&self.limit, &defaults.limit) {
            // The defaults' "none" is for routes that name no limits.
            (Said::Nothing, Said::This(Limit::None)) if section.was_written("limits") => &Said::Nothing,
            (Said::Nothing, default) => default,
            (own, _) => own,
        };
        let limits = match &self.limits {
            Said::Nothing => &defaults.limits,
            own => own,
        };
        let shared: &[usize] = match limits {
            Said::Nothing => &[],
            Said::This(shared) => shared,
            Said::Wrong => return None,
        };
        match limit {
            Said::Wrong => None,
            Said::This(Limit::Permits(permits)) => Some((Some(*permits), shared.to_vec())),
            Said::This(Limit::None) => Some((None, Vec::new())),
            Said::Nothing if !shared.is_empty() => Some((None, shared.to_vec())),
            Said::Nothing => {
                let problem = if section.was_written("limits") {
                    section.problem("limits", "is empty, and there is no `limit` beside it")
                } else {
                    let problem =
                        section.problem("limit", "is missing: a route has a limit of its own or from [defaults]");
                    let places = [section.path(), "defaults"];
                    places.iter().fold(problem, |problem, table| {
                        problem.lacks(format!("{table}.limit")).lacks(format!("{table}.limits"))
                    })
                };
                report.error(problem.help(
                    "write limit = 20, or limits = [\"NAME\"] for shared ones, or limit = \"none\" for a route without \
                     one (--limit N does it for routes.default)",
                ));
                None
            }
        }
    }
}

impl<T> Said<T> {
    /// Where `taken` is what was taken for a key.
    fn new(section: &Section<'_>, key: &str, taken: Option<T>) -> Self {
        match taken {
            Some(taken) => Said::This(taken),
            None if section.was_written(key) => Said::Wrong,
            None => Said::Nothing,
        }
    }
}

const ON_CLIENT_GONE: [(&str, OnClientGone); 3] =
    [("abort", OnClientGone::Abort), ("reset", OnClientGone::Reset), ("finish", OnClientGone::Finish)];

/// Limits are told apart by their names, in answers as in metrics.
fn same_name(name: &str, section: &Section<'_>, report: &Report) -> super::Problem {
    let message =
        format!("and limits.{name} are two limits of one name, since a route's own has the name of the route");
    let help = format!("rename one of them, or write limits = [\"{name}\"] in place of `limit`");
    section.problem("limit", message).also(&report.place_of(&format!("limits.{name}"))).help(help)
}
