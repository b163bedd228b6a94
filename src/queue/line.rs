//! The line of waiters, first come, first served.

use std::time::Instant;

/// Waiters in arrival order, in a slab linked by index. `W` wakes a waiter, `V` is the verdict that ends its wait.
///
/// A waiter is *waiting* from [`push`](Line::push) until [`settle`](Line::settle), then *settled* until it collects its
/// verdict with [`remove`](Line::remove). Leaving early is the same [`remove`](Line::remove).
#[derive(Debug)]
pub struct Line<W, V> {
    nodes: Vec<Node<W, V>>,
    free: u32,
    head: u32,
    tail: u32,
    len: u32,
    /// No waiter's deadline is earlier than this. May be too early after one has left.
    earliest: Option<Instant>,
}

/// What a waiter holds to find its place again. Good until it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Node<W, V> {
    /// Counts the waiters that had this slot, so that an old ticket finds nothing.
    generation: u32,
    previous: u32,
    next: u32,
    state: State<W, V>,
}

#[derive(Debug)]
enum State<W, V> {
    Free,
    Waiting { waker: W, since: Instant, deadline: Instant },
    Settled(V),
}

const NONE: u32 = u32::MAX;

impl<W, V> Default for Line<W, V> {
    fn default() -> Self {
        Line { nodes: Vec::new(), free: NONE, head: NONE, tail: NONE, len: 0, earliest: None }
    }
}

impl<W, V> Line<W, V> {
    /// How many are waiting; the settled do not count.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether nobody is waiting.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Joins at the end.
    pub fn push(&mut self, waker: W, since: Instant, deadline: Instant) -> Ticket {
        let index = self.claim_slot();
        let tail = self.tail;
        let node = &mut self.nodes[index as usize];
        node.previous = tail;
        node.next = NONE;
        node.state = State::Waiting { waker, since, deadline };
        let ticket = Ticket { index, generation: node.generation };
        match tail {
            NONE => self.head = index,
            tail => self.nodes[tail as usize].next = index,
        }
        self.tail = index;
        self.len += 1;
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        ticket
    }

    /// Who goes next.
    pub fn front(&self) -> Option<Ticket> {
        (self.head != NONE).then(|| Ticket { index: self.head, generation: self.nodes[self.head as usize].generation })
    }

    /// Since when the one who goes next has waited.
    pub fn front_since(&self) -> Option<Instant> {
        match self.nodes[self.front()?.index as usize].state {
            State::Waiting { since, .. } => Some(since),
            _ => None,
        }
    }

    /// Ends a wait with a verdict, and returns what wakes the waiter. `None` if it is not waiting.
    pub fn settle(&mut self, ticket: Ticket, verdict: V) -> Option<W> {
        let node = self.node_mut(ticket)?;
        if !matches!(node.state, State::Waiting { .. }) {
            return None;
        }
        let State::Waiting { waker, .. } = std::mem::replace(&mut node.state, State::Settled(verdict)) else {
            unreachable!("the state was just matched")
        };
        self.unlink(ticket.index);
        Some(waker)
    }

    /// What wakes a waiter, as long as it is waiting.
    pub fn waker_mut(&mut self, ticket: Ticket) -> Option<&mut W> {
        match &mut self.node_mut(ticket)?.state {
            State::Waiting { waker, .. } => Some(waker),
            _ => None,
        }
    }

    /// Leaves, from wherever it stands, with the verdict if there is one. The ticket is void afterwards.
    pub fn remove(&mut self, ticket: Ticket) -> Option<V> {
        let node = self.node_mut(ticket)?;
        node.generation = node.generation.wrapping_add(1);
        let verdict = match std::mem::replace(&mut node.state, State::Free) {
            State::Settled(verdict) => Some(verdict),
            State::Waiting { .. } => {
                self.unlink(ticket.index);
                None
            }
            State::Free => unreachable!("a ticket of the right generation is never free"),
        };
        self.nodes[ticket.index as usize].next = self.free;
        self.free = ticket.index;
        verdict
    }

    /// A waiter whose deadline has passed, if there is one. Settle it and ask again.
    ///
    /// Costs a comparison while nothing is due, and one walk along the line when something is.
    pub fn next_due(&mut self, now: Instant) -> Option<Ticket> {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return None;
        }
        let mut earliest: Option<Instant> = None;
        let mut at = self.head;
        while at != NONE {
            let node = &self.nodes[at as usize];
            if let State::Waiting { deadline, .. } = node.state {
                if deadline <= now {
                    return Some(Ticket { index: at, generation: node.generation });
                }
                earliest = Some(earliest.map_or(deadline, |earliest| earliest.min(deadline)));
            }
            at = node.next;
        }
        self.earliest = earliest;
        None
    }

    /// Nobody is due before this. `None` when nobody waits.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.earliest.filter(|_| self.len > 0)
    }

    fn node_mut(&mut self, ticket: Ticket) -> Option<&mut Node<W, V>> {
        self.nodes.get_mut(ticket.index as usize).filter(|node| node.generation == ticket.generation)
    }

    fn claim_slot(&mut self) -> u32 {
        if self.free != NONE {
            let index = self.free;
            self.free = self.nodes[index as usize].next;
            return index;
        }
        let index = u32::try_from(self.nodes.len()).expect("fewer than 2^32 waiters");
        self.nodes.push(Node { generation: 0, previous: NONE, next: NONE, state: State::Free });
        index
    }

    fn unlink(&mut self, index: u32) {
        let Node { previous, next, .. } = self.nodes[index as usize];
        match previous {
            NONE => self.head = next,
            previous => self.nodes[previous as usize].next = next,
        }
        match next {
            NONE => self.tail = previous,
            next => self.nodes[next as usize].previous = previous,
        }
        self.len -= 1;
        if self.len == 0 {
            self.earliest = None;
        }
    }
}
