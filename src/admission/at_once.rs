//! What can be said of a request as it comes, without a wait and without the lock: for most, all there is to say.

#![cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "the layer goes by the future alone"))]

use super::acquire::Budget;
use super::claim::Claim;
use super::gate::Gate;
use super::judge::turned_away;
use super::limits::Limits;
use super::permit::Permit;
use super::rejection::Rejection;
use super::word::Mode;

/// What becomes of a request that comes.
#[derive(Debug)]
pub(crate) enum AtOnce {
    /// It has all its permits.
    Admitted(Permit),
    Rejected(Rejection),
    /// That takes more than a look.
    Later(Begun),
}

/// How far a request has come among its limits. Dropping it gives back what it has.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// The limit that it is at.
    pub(super) at: usize,
    /// The permits of those before.
    pub(super) held: Option<Permit>,
}

impl Limits {
    /// Takes the permits that are free, or turns the request away where the lock would do no other.
    #[inline]
    pub(crate) fn at_once(&self, claim: &Claim) -> AtOnce {
        let mut begun = Begun::default();
        // It may ask in vain, free permit or not.
        if claim.deadline.is_some() || claim.seats_from_client {
            return AtOnce::Later(begun);
        }
        for limiter in self.limiters() {
            let gate = &limiter.0;
            let seats = if gate.takes_one { 1 } else { claim.seats_taken() };
            if !gate.take(seats) {
                return match rejected(gate, claim) {
                    Some(rejection) => AtOnce::Rejected(Rejection { limit: begun.at, ..rejection }),
                    None => AtOnce::Later(begun),
                };
            }
            gate.counters.admitted(claim.level);
            let permit = Permit::new(gate.clone(), seats, None, None).with_narrower(begun.held.take());
            begun = Begun { at: begun.at + 1, held: Some(permit) };
        }
        begun.held.map_or_else(|| AtOnce::Later(Begun::default()), AtOnce::Admitted)
    }
}

/// Turns away one that has just come and found too few seats. It has waited nowhere, so that its budget plays no part
/// unless the limit judges how long it would.
fn rejected(gate: &Gate, claim: &Claim) -> Option<Rejection> {
    let word = gate.word.read();
    if word.is(Mode::DRY_RUN) || word.is(Mode::JUDGED) {
        return None;
    }
    let budget = Budget::default();
    Some(turned_away(gate, word, claim, &budget)?.told_by(gate, &budget))
}
