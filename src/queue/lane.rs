//! One key's waiters on one level.

use super::level::Level;
use super::nodes::{NONE, Nodes};
use super::turns::share;

/// The waiters of one flow on one level, in order of arrival: what takes turns with its like. 80 bytes.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) flow: u32,
    pub(super) level: Level,
    oldest: u32,
    newest: u32,
    /// The waiter that capacity is saved up for. It goes next whoever comes.
    pinned: u32,
    /// Since when.
    pub(super) pinned_since: u64,
    /// Seats that others took while it was.
    pub(super) passed: u32,
    pub(super) len: u32,
    pub(super) seats: u64,
    /// Since when it has not been empty.
    pub(super) stood_since: u64,
    /// When its turn comes, in virtual time.
    pub(super) tag: u64,
    pub(super) weight: u32,
    pub(super) status: Status,
    /// Its place in the heap that its status says.
    pub(super) place: u32,
    /// Its place in the heap of lengths.
    pub(super) length_place: u32,
    /// How often a later one overtook somebody. Wraps.
    pub(super) overtaken: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Somebody waits, and its turn will come.
    Active,
    /// Somebody waits whom the key's cap does not let go.
    Parked,
    /// Nobody waits, but it has had more than its share of this round.
    Owing,
}

/// How many are looked at to find a narrow one.
const LOOK: usize = 8;

impl Lane {
    pub(super) fn new(flow: u32, level: Level, weight: u32) -> Self {
        Lane {
            flow,
            level,
            oldest: NONE,
            newest: NONE,
            pinned: NONE,
            pinned_since: 0,
            passed: 0,
            len: 0,
            seats: 0,
            stood_since: 0,
            tag: 0,
            weight,
            status: Status::Owing,
            place: NONE,
            length_place: NONE,
            overtaken: 0,
        }
    }

    /// Joins at the end.
    pub(super) fn link<W, V>(&mut self, index: u32, now: u64, nodes: &mut Nodes<W, V>) {
        if self.len == 0 {
            self.stood_since = now;
        }
        let node = &mut nodes[index];
        (node.previous, node.next) = (self.newest, NONE);
        node.overtaken_before = self.overtaken;
        self.seats += u64::from(node.seats);
        match self.newest {
            NONE => self.oldest = index,
            newest => nodes[newest].next = index,
        }
        self.newest = index;
        self.len += 1;
    }

    /// Leaves from wherever it stands.
    pub(super) fn unlink<W, V>(&mut self, index: u32, nodes: &mut Nodes<W, V>) {
        let (previous, next, seats) = (nodes[index].previous, nodes[index].next, nodes[index].seats);
        match previous {
            NONE => self.oldest = next,
            previous => nodes[previous].next = next,
        }
        match next {
            NONE => self.newest = previous,
            next => nodes[next].previous = previous,
        }
        self.len -= 1;
        self.seats -= u64::from(seats);
        if self.pinned == index {
            (self.pinned, self.passed) = (NONE, 0);
        }
    }

    /// Who goes next.
    pub(super) fn next(&self, newest_first: bool) -> u32 {
        match (self.pinned, newest_first) {
            (NONE, true) => self.newest,
            (NONE, false) => self.oldest,
            (pinned, _) => pinned,
        }
    }

    /// Who goes after this one; `NONE` behind the last.
    pub(super) fn after<W, V>(&self, index: u32, newest_first: bool, nodes: &Nodes<W, V>) -> u32 {
        let step = |from: u32| if newest_first { nodes[from].previous } else { nodes[from].next };
        let end = if newest_first { self.newest } else { self.oldest };
        let next = if index == self.pinned { end } else { step(index) };
        if next != NONE && next == self.pinned { step(next) } else { next }
    }

    /// Its tag once so many seats have been charged to it.
    pub(super) fn tag_after(&self, tag: u64, seats: u32) -> u64 {
        tag + share(u64::from(seats), u64::from(self.weight)).max(1)
    }

    /// Who would go last; the one to give way.
    pub(super) fn last<W, V>(&self, newest_first: bool, nodes: &Nodes<W, V>) -> u32 {
        let (last, before) = match newest_first {
            true => (self.oldest, nodes[self.oldest].next),
            false => (self.newest, nodes[self.newest].previous),
        };
        if last == self.pinned && before != NONE { before } else { last }
    }

    pub(super) fn oldest(&self) -> u32 {
        self.oldest
    }

    /// From now on capacity is saved up for this waiter.
    pub(super) fn pin(&mut self, index: u32, now: u64) {
        if self.pinned != index {
            (self.pinned, self.pinned_since, self.passed) = (index, now, 0);
        }
    }

    /// How often the oldest has been overtaken, unless capacity is saved up for it.
    pub(super) fn oldest_overtaken<W, V>(&self, nodes: &Nodes<W, V>) -> Option<u32> {
        let stands_back = self.oldest != NONE && self.oldest != self.pinned;
        stands_back.then(|| self.overtaken.wrapping_sub(nodes[self.oldest].overtaken_before))
    }

    /// Whether it is the one that capacity is saved up for.
    pub(super) fn is_saved_up_for(&self, index: u32) -> bool {
        self.pinned == index
    }

    /// The oldest beside the one that capacity is saved up for, if there is one.
    pub(super) fn oldest_but_pinned<W, V>(&self, nodes: &Nodes<W, V>) -> u32 {
        let after = nodes[self.oldest].next;
        if self.oldest == self.pinned && after != NONE { after } else { self.oldest }
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.pinned != NONE
    }

    /// Somebody else than the one whom capacity is saved up for, of so many seats at most, in the lane's order. Only a
    /// few are looked at.
    pub(super) fn passer<W, V>(&self, newest_first: bool, seats: u32, nodes: &Nodes<W, V>) -> Option<u32> {
        let present = |index: u32| (index != NONE).then_some(index);
        let first = if newest_first { self.newest } else { self.oldest };
        let in_order = std::iter::successors(present(first), |index| {
            let node = &nodes[*index];
            present(if newest_first { node.previous } else { node.next })
        });
        let others = in_order.filter(|index| *index != self.pinned);
        others.take(LOOK).find(|index| nodes[*index].seats <= seats)
    }

    /// Seats that a newcomer finds before it in its own lane.
    pub(super) fn ahead_of_newcomer<W, V>(&self, newest_first: bool, nodes: &Nodes<W, V>) -> (u32, u64) {
        match (newest_first, self.pinned) {
            (false, _) => (self.len, self.seats),
            (true, NONE) => (0, 0),
            (true, pinned) => (1, u64::from(nodes[pinned].seats)),
        }
    }
}
