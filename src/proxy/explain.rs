//! What becomes of a request, without sending one.

use std::time::SystemTime;

use http::Request;

use super::claim::Asking;
use super::client::Client;
use super::matched::{matched, target};
use super::preflight::{Preflight, is_preflight};
use super::settings::{Plan, RouteSettings};
use crate::admission::{self, Claim, Keyed, Level, Reason};
use crate::route::{Conflict, HeaderCondition, Mismatch, PathPattern, Table, normalize};

/// Which route takes a request, and what it asks of its limits.
#[derive(Debug)]
pub struct Explanation<'a> {
    /// The routes whose host and path match, the strongest first, and why those do not take it that do not.
    pub candidates: Vec<(&'a RouteSettings, Option<WhyNot>)>,
    /// What follows from the first of the others, if there is one.
    pub taken: Option<Taken<'a>>,
    /// The routes that would take it if their exact path were that path and all below it, and what that is written like.
    pub near: Vec<(&'a RouteSettings, PathPattern)>,
}

/// Why a route whose host and path match does not take a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyNot {
    /// It takes other methods.
    Method,
    /// This header must be there, with this value if there is one.
    Header(String, Option<String>),
}

/// What becomes of a request on its route.
#[derive(Debug)]
pub struct Taken<'a> {
    /// The route.
    pub route: &'a RouteSettings,
    /// Its limits in the order in which they are taken, and whose the request is for each that asks for it. Empty where
    /// it takes no permit.
    pub limits: Vec<(&'a admission::Settings, Option<Keyed>)>,
    /// What it asks of them, or why it asks in vain.
    pub claim: Result<Claim, Reason>,
    /// What it takes as a CORS preflight, if it is one.
    pub preflight: Option<Preflight>,
}

impl Plan {
    /// Explains a request of a client: by the same table, claims and keys that requests go by.
    ///
    /// # Errors
    /// The pairs of routes that one request could match equally well.
    pub fn explain<B>(&self, client: &Client, request: &Request<B>) -> Result<Explanation<'_>, Vec<Conflict>> {
        let routes = self.routes.iter().map(|route| (route.conditions.clone(), route));
        let table = Table::try_new(routes.collect())?;
        let taken = matched(&table, target(request).0, request);
        let (host, path) = target(request);
        let candidates = table.explain(request.method(), host, path, request.headers());
        let candidates = candidates
            .into_iter()
            .map(|(route, mismatch)| (*route, mismatch.map(|mismatch| WhyNot::new(mismatch, route))))
            .collect();
        let near = self.near(request);
        Ok(Explanation { candidates, taken: taken.map(|route| self.on_route(route, client, request)), near })
    }

    fn near<B>(&self, request: &Request<B>) -> Vec<(&RouteSettings, PathPattern)> {
        let would_take_it = |at: usize, wider: &PathPattern| {
            let conditions = |(other, route): (usize, &RouteSettings)| {
                let mut conditions = route.conditions.clone();
                if other == at {
                    conditions.path = Some(wider.clone());
                }
                (conditions, other)
            };
            // Where it would be in conflict with another, it is no advice.
            let table = Table::try_new(self.routes.iter().enumerate().map(conditions).collect());
            table.is_ok_and(|table| matched(&table, target(request).0, request) == Some(&at))
        };
        let path = normalize(request.uri().path());
        let routes = self.routes.iter().enumerate();
        routes
            .filter_map(|(at, route)| {
                let exact = route.conditions.path.as_ref()?;
                let wider = exact.with_what_is_below()?;
                let is_near = wider.matches(&path) && !exact.matches(&path) && would_take_it(at, &wider);
                is_near.then_some((route, wider))
            })
            .collect()
    }

    fn on_route<'a, B>(&'a self, route: &'a RouteSettings, client: &Client, request: &Request<B>) -> Taken<'a> {
        let preflight = is_preflight(request).then_some(self.preflight);
        let asking = Asking { request, client, path: route.conditions.path.as_ref() };
        let limits = route.limits.iter().filter(|_| preflight != Some(Preflight::Exempt));
        let limits = limits.map(|limit| {
            let rules = self.keys.get(*limit).and_then(Option::as_ref);
            (&self.limits[*limit], rules.map(|rules| rules.key_of(&asking, |_| false)))
        });
        let mut claim = route.claim.claim(request.headers(), true, client, SystemTime::now());
        if let (Ok(claim), Some(Preflight::First)) = (&mut claim, preflight) {
            claim.level = Level::Critical;
        }
        Taken { route, limits: limits.collect(), claim, preflight }
    }
}

impl WhyNot {
    fn new(mismatch: Mismatch<'_>, route: &RouteSettings) -> Self {
        match mismatch {
            Mismatch::Method => WhyNot::Method,
            Mismatch::Header(name) => {
                let condition = route.conditions.headers.iter().find(|(wanted, _)| wanted == name);
                let value = condition.and_then(|(_, condition)| match condition {
                    HeaderCondition::Present => None,
                    HeaderCondition::Equals(value) => Some(String::from_utf8_lossy(value.as_bytes()).into_owned()),
                });
                WhyNot::Header(name.to_string(), value)
            }
        }
    }
}
