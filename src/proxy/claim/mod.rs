//! What a request asks of its limits: how urgent it is, what it costs, until when it is wanted, and whose it is.
//!
//! A limit can ask whose a request is ([`KeyRules`]); a route says what it believes of the rest ([`ClaimRules`]).

mod cost;
mod deadline;
#[cfg(test)]
#[path = "../../../fuzz/claims.rs"]
mod fuzz;
mod key;
mod keys;
mod priority;

use std::time::SystemTime;

use http::HeaderMap;
use tokio::time::Instant;

pub use cost::Cost;
pub(super) use deadline::{ENVOY_TIMEOUT, GRPC_TIMEOUT, REQUEST_DEADLINE, REQUEST_TIMEOUT, subtract as subtract_time};
pub(super) use key::Asking;
pub use key::{KeyExpression, KeyExpressionError};
pub(super) use keys::RouteKeys;
pub use keys::{KeyRules, Missing, Unknown};

use super::client::Client;
use crate::admission::{Claim, Level, Reason};

/// What a route says about its requests, and what it believes that they say themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRules {
    /// How urgent they are. Default: normal.
    pub priority: Priority,
    /// How much of a limit one of them takes. Default: 1.
    pub cost: Cost,
    /// Whether the client's deadline holds. Default: true.
    pub deadline: bool,
    /// Who is believed about priority and cost. Default: trusted proxies.
    pub trust_headers: TrustHeaders,
}

/// How urgent a route's requests are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// All the same.
    Level(Level),
    /// As `X-Request-Priority` or `Priority` (RFC 9218) says, else normal.
    Header,
}

/// Who is believed about priority and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TrustHeaders {
    /// Peers in `trusted_proxies`.
    #[default]
    Trusted,
    /// Everyone.
    All,
}

impl Default for ClaimRules {
    fn default() -> Self {
        ClaimRules {
            priority: Priority::Level(Level::Normal),
            cost: Cost::default(),
            deadline: true,
            trust_headers: TrustHeaders::default(),
        }
    }
}

impl ClaimRules {
    /// What a request asks for, or why it asks in vain: its deadline has passed, or its cost is no number.
    /// Of one that [says nothing](crate::proxy::census) of a deadline, none is looked for.
    pub(super) fn claim(
        &self,
        headers: &HeaderMap,
        has_deadline: bool,
        client: &Client,
        now: SystemTime,
    ) -> Result<Claim, Reason> {
        let believed = || self.trust_headers == TrustHeaders::All || client.is_trusted();
        let level = match self.priority {
            Priority::Level(level) => level,
            Priority::Header if believed() => priority::asked(headers).unwrap_or_default(),
            Priority::Header => Level::Normal,
        };
        let (seats, seats_from_client) = match &self.cost {
            Cost::Fixed(seats) => (*seats, false),
            Cost::Header(name) if believed() => cost::asked(headers, name)?,
            Cost::Header(_) => (1, false),
        };
        let deadline = match (self.deadline && has_deadline).then(|| deadline::time_left(headers, now)).flatten() {
            Some(left) if left.is_zero() => return Err(Reason::DeadlineExpired),
            // Too far away to be a deadline.
            left => left.and_then(|left| Instant::now().checked_add(left)).map(Instant::into_std),
        };
        Ok(Claim { level, seats, deadline, seats_from_client, tag: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::TrustedProxies;

    fn client(trusted: bool) -> Client {
        let networks = if trusted { vec!["192.0.2.0/24".parse().unwrap()] } else { Vec::new() };
        Client::new("192.0.2.1".parse().unwrap(), &TrustedProxies::new(networks))
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn priority_and_cost_are_believed_of_those_who_are_trusted() {
        let rules = ClaimRules {
            priority: Priority::Header,
            cost: Cost::Header("x-cost".parse().unwrap()),
            ..ClaimRules::default()
        };
        let said = headers(&[("x-request-priority", "high"), ("x-cost", "4")]);
        let all = ClaimRules { trust_headers: TrustHeaders::All, ..rules.clone() };
        for (rules, trusted, level, seats) in
            [(&rules, true, Level::High, 4), (&rules, false, Level::Normal, 1), (&all, false, Level::High, 4)]
        {
            let claim = rules.claim(&said, true, &client(trusted), SystemTime::now()).unwrap();
            assert_eq!((claim.level, claim.seats), (level, seats), "{rules:?} {trusted}");
        }
        let nonsense = headers(&[("x-cost", "many")]);
        assert_eq!(rules.claim(&nonsense, true, &client(true), SystemTime::now()).unwrap_err(), Reason::Cost);
        assert_eq!(rules.claim(&nonsense, true, &client(false), SystemTime::now()).unwrap().seats, 1);
    }

    #[test]
    fn a_deadline_is_believed_of_everyone_unless_the_route_does_not_care() {
        let rules = ClaimRules::default();
        let (late, soon) = (headers(&[("x-request-timeout", "0")]), headers(&[("x-request-timeout", "5s")]));
        assert_eq!(rules.claim(&late, true, &client(false), SystemTime::now()).unwrap_err(), Reason::DeadlineExpired);
        assert!(rules.claim(&soon, true, &client(false), SystemTime::now()).unwrap().deadline.is_some());
        let rules = ClaimRules { deadline: false, ..rules };
        assert_eq!(rules.claim(&late, true, &client(false), SystemTime::now()).unwrap().deadline, None);
    }
}
