//! Whose a request is, by the rules of each of its limits.

use std::collections::HashSet;
use std::sync::Arc;

use http::Request;

use super::key::{Asking, KeyExpression};
use crate::admission::{Key, Keyed, Keys, Limits};
use crate::proxy::arrival::Arrival;

/// How a limit tells whose a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRules {
    /// What it looks at.
    pub expression: KeyExpression,
    /// What holds where that is not there. Default: the shared bucket.
    pub missing: Missing,
    /// What holds for a value that the configuration does not name. Default: a key of its own.
    pub unknown: Unknown,
    /// The values that the configuration names, as they are shown.
    pub named: HashSet<String>,
}

/// What becomes of a request without a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missing {
    /// All of them share one bucket.
    #[default]
    Shared,
    /// Its client's address is the key.
    ClientIp,
    /// It is rejected.
    Reject,
}

/// What becomes of a request whose key the configuration does not name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unknown {
    /// It has its key.
    #[default]
    Own,
    /// All of them share one bucket.
    Shared,
    /// It is rejected.
    Reject,
}

impl KeyRules {
    /// Whose a request is. `is_named` are the keys that have been given a cap beside the configuration.
    pub(in crate::proxy) fn key_of<B>(&self, asking: &Asking<'_, B>, is_named: impl FnOnce(&Key) -> bool) -> Keyed {
        let key = match (self.expression.key_of(asking), self.missing) {
            (Some(key), _) => key,
            (None, Missing::Shared) => return Keyed::Shared,
            (None, Missing::Reject) => return Keyed::Refused,
            // It is nobody's name, so whether it is known is not asked.
            (None, Missing::ClientIp) => return Keyed::Own(Key::new(asking.client_address())),
        };
        match self.unknown {
            Unknown::Own => Keyed::Own(key),
            _ if self.named.contains(key.shown()) || is_named(&key) => Keyed::Own(key),
            Unknown::Shared => Keyed::Shared,
            Unknown::Reject => Keyed::Refused,
        }
    }
}

impl KeyRules {
    fn may_refuse(&self) -> bool {
        self.missing == Missing::Reject || self.unknown == Unknown::Reject
    }
}

/// The keys of one request on a route.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct RouteKeys(pub(in crate::proxy) Arc<Arrival>);

impl RouteKeys {
    /// The first limit that has no place for a request's key, free permit or not. Asked before anybody waits: where keys
    /// are only for taking turns, they are not looked at on the way of a request that finds a permit. A dry run has a place
    /// for everybody, and asks for itself.
    pub(in crate::proxy) fn refused_by<B>(&self, request: &Request<B>) -> Option<usize> {
        let RouteKeys(arrival) = self;
        let route = arrival.route()?;
        let path = route.settings.conditions.path.as_ref();
        let limiters = route.limits.as_ref().map_or(&[][..], Limits::limiters);
        route.keys.iter().zip(limiters).position(|(rules, limiter)| {
            let rules = rules.as_ref().filter(|rules| rules.may_refuse() && !limiter.is_dry_run());
            let asking = Asking { request, client: &arrival.client, path };
            rules.is_some_and(|rules| rules.key_of(&asking, |key| limiter.names(key)) == Keyed::Refused)
        })
    }
}

/// None where no limit of the route wants to know.
impl<B> Keys<B> for Option<RouteKeys> {
    fn key(&self, limit: usize, request: &Request<B>) -> Keyed {
        let Some(RouteKeys(arrival)) = self else { return Keyed::Shared };
        let Some(route) = arrival.route() else { return Keyed::Shared };
        let Some(Some(rules)) = route.keys.get(limit) else { return Keyed::Shared };
        let path = route.settings.conditions.path.as_ref();
        let limiter = route.limits.as_ref().map(|limits| &limits.limiters()[limit]);
        let is_named = |key: &Key| limiter.is_some_and(|limiter| limiter.names(key));
        let keyed = rules.key_of(&Asking { request, client: &arrival.client, path }, is_named);
        if let Some(live) = arrival.record.live() {
            live.keyed(&keyed);
        }
        if let Some(limiter) = limiter {
            arrival.quotas.note(limit, limiter, &keyed);
        }
        keyed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::{Client, TrustedProxies};

    fn keyed(rules: &KeyRules, fields: &[(&'static str, &str)]) -> String {
        let mut request = Request::new(());
        for (name, value) in fields {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let client = Client::new("192.0.2.7".parse().unwrap(), &TrustedProxies::new(Vec::new()));
        match rules.key_of(&Asking { request: &request, client: &client, path: None }, |_| false) {
            Keyed::Own(key) => key.shown().to_owned(),
            Keyed::Shared => "shared".into(),
            Keyed::Refused => "refused".into(),
        }
    }

    fn rules(expression: &str, missing: Missing, unknown: Unknown, named: &[&str]) -> KeyRules {
        let expression = KeyExpression::try_new([expression]).unwrap();
        KeyRules { expression, missing, unknown, named: named.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn what_is_missing_or_unknown_goes_where_the_rules_say() {
        let tenant = |missing, unknown| rules("header:x-tenant", missing, unknown, &["acme"]);
        let other = &[("x-tenant", "other")][..];
        for (rules, fields, expected) in [
            (tenant(Missing::Shared, Unknown::Own), &[][..], "shared"),
            (tenant(Missing::ClientIp, Unknown::Reject), &[][..], "192.0.2.7"),
            (tenant(Missing::Reject, Unknown::Own), &[][..], "refused"),
            (tenant(Missing::Shared, Unknown::Own), other, "other"),
            (tenant(Missing::Shared, Unknown::Shared), other, "shared"),
            (tenant(Missing::Shared, Unknown::Reject), other, "refused"),
            (tenant(Missing::Reject, Unknown::Reject), &[("x-tenant", "acme")][..], "acme"),
        ] {
            assert_eq!(keyed(&rules, fields), expected, "{rules:?} {fields:?}");
        }
    }

    #[test]
    fn a_secret_is_named_by_what_is_shown_of_it() {
        // printf 't' | sha256sum
        let rules = rules("bearer", Missing::Shared, Unknown::Reject, &["sha256:e3b98a4d"]);
        assert_eq!(keyed(&rules, &[("authorization", "Bearer t")]), "sha256:e3b98a4d");
        assert_eq!(keyed(&rules, &[("authorization", "Bearer u")]), "refused");
    }
}
