//! A priority queue whose members can be found again.

/// A min-heap of numbered members. Each time one changes its place, `moved(member, place)` is told, so that the member
/// can be removed or re-ranked from wherever it stands.
///
/// Four children to a parent: half the depth of a binary heap, and siblings share a cache line.
#[derive(Debug)]
pub(super) struct Heap<R> {
    entries: Vec<(R, u32)>,
}

const CHILDREN: usize = 4;

impl<R> Default for Heap<R> {
    fn default() -> Self {
        Heap { entries: Vec::new() }
    }
}

impl<R: Ord + Copy> Heap<R> {
    /// The member of the smallest rank.
    pub(super) fn first(&self) -> Option<(R, u32)> {
        self.entries.first().copied()
    }

    /// All of them, the first first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (R, u32)> + '_ {
        self.entries.iter().copied()
    }

    /// A few members of small ranks: the first, its children and some of theirs.
    pub(super) fn near_the_first(&self) -> impl Iterator<Item = (R, u32)> + '_ {
        self.entries.iter().take(2 * CHILDREN).copied()
    }

    pub(super) fn push(&mut self, rank: R, member: u32, moved: impl FnMut(u32, u32)) {
        self.entries.push((rank, member));
        self.rise(self.entries.len() - 1, moved);
    }

    pub(super) fn remove(&mut self, place: u32, moved: impl FnMut(u32, u32)) {
        let place = place as usize;
        self.entries.swap_remove(place);
        if place < self.entries.len() {
            self.settle(place, moved);
        }
    }

    pub(super) fn update(&mut self, place: u32, rank: R, moved: impl FnMut(u32, u32)) {
        self.entries[place as usize].0 = rank;
        self.settle(place as usize, moved);
    }

    fn settle(&mut self, place: usize, moved: impl FnMut(u32, u32)) {
        if place > 0 && self.entries[place].0 < self.entries[(place - 1) / CHILDREN].0 {
            self.rise(place, moved);
        } else {
            self.sink(place, moved);
        }
    }

    fn rise(&mut self, mut place: usize, mut moved: impl FnMut(u32, u32)) {
        let entry = self.entries[place];
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if self.entries[parent].0 <= entry.0 {
                break;
            }
            self.put(place, self.entries[parent], &mut moved);
            place = parent;
        }
        self.put(place, entry, &mut moved);
    }

    fn sink(&mut self, mut place: usize, mut moved: impl FnMut(u32, u32)) {
        let entry = self.entries[place];
        loop {
            let children = CHILDREN * place + 1..(CHILDREN * place + 1 + CHILDREN).min(self.entries.len());
            let Some(least) = children.min_by_key(|child| self.entries[*child].0) else { break };
            if self.entries[least].0 >= entry.0 {
                break;
            }
            self.put(place, self.entries[least], &mut moved);
            place = least;
        }
        self.put(place, entry, &mut moved);
    }

    fn put(&mut self, place: usize, entry: (R, u32), moved: &mut impl FnMut(u32, u32)) {
        self.entries[place] = entry;
        moved(entry.1, u32::try_from(place).expect("fewer than 2^32 members"));
    }
}
