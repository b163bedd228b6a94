//! Where waiters are kept.

/// What a waiter holds to find its place again. Good until it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(super) index: u32,
    generation: u32,
}

/// One waiter: 64 bytes with a `std::task::Waker` and a verdict of up to 8, and 16 more in the heap of deadlines.
#[derive(Debug)]
pub(super) struct Node<W, V> {
    pub(super) since: u64,
    pub(super) tag: u64,
    /// Counts the waiters that had this slot, so that an old ticket finds nothing.
    generation: u32,
    pub(super) previous: u32,
    pub(super) next: u32,
    /// The lane it waits in. Once it is settled: the flow under which it is counted as in flight, or `NONE`.
    pub(super) owner: u32,
    /// Its place in the heap of deadlines.
    pub(super) due: u32,
    pub(super) seats: u32,
    /// How often its lane had let somebody overtake when it joined.
    pub(super) overtaken_before: u32,
    pub(super) state: State<W, V>,
}

#[derive(Debug)]
pub(super) enum State<W, V> {
    Free,
    Waiting(W),
    Settled(V),
}

/// No index.
pub(super) const NONE: u32 = u32::MAX;

/// Waiters by index, with a chain through the free slots. Allocates only while it grows.
#[derive(Debug)]
pub(super) struct Nodes<W, V> {
    nodes: Vec<Node<W, V>>,
    free: u32,
}

impl<W, V> Default for Nodes<W, V> {
    fn default() -> Self {
        Nodes { nodes: Vec::new(), free: NONE }
    }
}

impl<W, V> Nodes<W, V> {
    pub(super) fn insert(&mut self, waker: W, tag: u64, since: u64, seats: u32, lane: u32) -> Ticket {
        if self.free == NONE {
            self.free = u32::try_from(self.nodes.len()).expect("fewer than 2^32 waiters");
            self.nodes.push(Node {
                since,
                tag,
                generation: 0,
                previous: NONE,
                next: NONE,
                owner: NONE,
                due: NONE,
                seats,
                overtaken_before: 0,
                state: State::Free,
            });
        }
        let index = self.free;
        let node = &mut self.nodes[index as usize];
        self.free = node.next;
        node.since = since;
        node.tag = tag;
        node.seats = seats;
        node.owner = lane;
        node.state = State::Waiting(waker);
        Ticket { index, generation: node.generation }
    }

    /// Voids the ticket of the waiter at `index`, and says how it stood.
    pub(super) fn free(&mut self, index: u32) -> State<W, V> {
        let node = &mut self.nodes[index as usize];
        node.generation = node.generation.wrapping_add(1);
        node.next = self.free;
        self.free = index;
        std::mem::replace(&mut node.state, State::Free)
    }

    /// The waiter of a ticket, if it is still its.
    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Node<W, V>> {
        self.nodes.get_mut(ticket.index as usize).filter(|node| node.generation == ticket.generation)
    }

    /// The waiter of a ticket, if it is still its.
    pub(super) fn get(&self, ticket: Ticket) -> Option<&Node<W, V>> {
        self.nodes.get(ticket.index as usize).filter(|node| node.generation == ticket.generation)
    }

    pub(super) fn ticket(&self, index: u32) -> Ticket {
        Ticket { index, generation: self[index].generation }
    }
}

impl<W, V> std::ops::Index<u32> for Nodes<W, V> {
    type Output = Node<W, V>;

    fn index(&self, index: u32) -> &Self::Output {
        &self.nodes[index as usize]
    }
}

impl<W, V> std::ops::IndexMut<u32> for Nodes<W, V> {
    fn index_mut(&mut self, index: u32) -> &mut Self::Output {
        &mut self.nodes[index as usize]
    }
}
