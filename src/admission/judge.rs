//! Who is turned away on arrival, and for what: all that can be said without the lock.

use std::time::{Duration, Instant};

use super::acquire::Budget;
use super::claim::Claim;
use super::gate::{Gate, now};
use super::permit::Waited;
use super::rejection::{Reason, Rejection};
use super::word::{Mode, Reading};
use crate::queue::Ahead;

/// Why somebody is turned away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) ahead: u32,
    predicted: bool,
}

impl Refusal {
    pub(super) fn new(reason: Reason, ahead: u32) -> Self {
        Refusal { reason, ahead, predicted: false }
    }

    pub(super) fn told_by(self, gate: &Gate, budget: &Budget) -> Rejection {
        let wait = budget.since().map_or(Duration::ZERO, |since| now().saturating_duration_since(since));
        let waited = Waited { position: self.ahead.saturating_add(1), wait };
        Rejection { predicted: self.predicted, ..gate.reject(self.reason, waited) }
    }
}

/// What can be said of a claim before anything else. An expired deadline stands also against permits that are free.
pub(super) fn in_vain(gate: &Gate, claim: &Claim) -> Option<Reason> {
    if too_wide(gate, claim) {
        return Some(Reason::Cost);
    }
    claim.deadline.is_some_and(|deadline| deadline <= now()).then_some(Reason::DeadlineExpired)
}

/// Whether its client asks for more than there is, or ever was meant to be.
pub(super) fn too_wide(gate: &Gate, claim: &Claim) -> bool {
    let seats = claim.seats_taken();
    let most = || {
        let settings = gate.settings.load();
        settings.limit_max.unwrap_or(settings.limit).get()
    };
    !gate.takes_one && claim.seats_from_client && seats > gate.word.read().limit() && seats > most()
}

/// Turns away without the lock whom the lock would not let in either.
pub(super) fn turned_away(gate: &Gate, word: Reading, claim: &Claim, budget: &Budget) -> Option<Refusal> {
    let crowd = gate.crowd.read();
    if word.is_closed() {
        return Some(Refusal::new(Reason::Closed, crowd.len));
    }
    if word.is(Mode::CAPPED) {
        return None;
    }
    let capacity = gate.queue();
    if capacity == 0 {
        gate.measure_if_unlocked();
        return Some(Refusal::new(Reason::NoPermit, crowd.len));
    }
    // Somebody would give way, or keys decide.
    if crowd.len == 0 || word.is(Mode::KEYED) || !crowd.are_all_at_least(claim.level) {
        return None;
    }
    let newest_first = word.is(Mode::NEWEST_FIRST);
    if crowd.len >= capacity && !newest_first {
        return Some(Refusal::new(Reason::QueueFull, crowd.len));
    }
    let backlog = u64::from(crowd.seats);
    // Newest first, nobody may be ahead.
    let ahead = Ahead { waiters: crowd.len, seats: if newest_first { 0 } else { backlog } };
    let refusal = judge(gate, word, claim, budget, ahead, || backlog)?;
    gate.measure_if_unlocked();
    Some(refusal)
}

/// Whether the wait would be in vain, by the measured rate of completions. `backlog` is what a limit that judges on
/// arrival goes by: newest first, it says how long those wait who are not served soon.
pub(super) fn judge(
    gate: &Gate,
    word: Reading,
    claim: &Claim,
    budget: &Budget,
    ahead: Ahead,
    backlog: impl FnOnce() -> u64,
) -> Option<Refusal> {
    let judged = word.is(Mode::JUDGED);
    if claim.deadline.is_none() && !judged {
        return None;
    }
    let now = now();
    let comes_after = |seats, end: Instant| {
        let turn = gate.rate.estimate(seats).and_then(|wait| now.checked_add(wait));
        turn.is_some_and(|turn| turn > end)
    };
    if claim.deadline.is_some_and(|deadline| comes_after(ahead.seats, deadline)) {
        return Some(Refusal::new(Reason::DeadlineUnmeetable, ahead.waiters));
    }
    let (_, end) = budget.until(now, gate.queue_timeout());
    let in_vain = judged && comes_after(backlog(), end);
    in_vain.then(|| Refusal { predicted: true, ..Refusal::new(Reason::QueueTimeout, ahead.waiters) })
}
