//! A limit that only counts: everybody passes, and what would have become of them is noted.

use std::sync::Arc;

use super::arrive::Arrival;
use super::claim::Keyed;
use super::gate::Gate;
use super::word::Mode;

/// Lets one pass. With nobody in line, those are taken to wait who are in flight beyond the limit: so many seats as there
/// would be places in the queue, and the rest would have been rejected.
pub(super) fn pass(gate: &Arc<Gate>, seats: u32, in_vain: bool, whose: impl FnOnce() -> Keyed) -> Arrival {
    let whose = gate.word.read().is(Mode::KEYED).then(whose);
    let refused = in_vain || whose == Some(Keyed::Refused);
    let (counted, before) = gate.force(seats);
    let (mut flow, mut at_cap) = (None, false);
    if before.is(Mode::CAPPED) && counted == seats {
        let key = match whose {
            Some(Keyed::Own(key)) => Some(key),
            _ => None,
        };
        let mut waiting = gate.lock();
        flow = waiting.line.begin(key.as_ref(), seats);
        at_cap = flow.is_none();
    }
    let beyond = (u64::from(before.in_flight()) + u64::from(seats)).saturating_sub(u64::from(before.limit()));
    let queue = gate.queue();
    if refused || !before.fits(seats) && beyond > u64::from(queue) || at_cap && queue == 0 {
        gate.counters.dry_run_rejected();
        tracing::debug!(limit = %gate.name, "a dry run would have rejected a request");
    } else if !before.fits(seats) || at_cap {
        gate.counters.dry_run_queued();
        tracing::debug!(limit = %gate.name, "a dry run would have made a request wait");
    }
    Arrival::Admitted(flow, counted)
}
