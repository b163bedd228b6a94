//! Things by number.

/// Values by index, whose places are used again. Allocates only while it grows.
#[derive(Debug)]
pub(super) struct Pool<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Pool { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Pool<T> {
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = Some(value);
            return index;
        }
        self.slots.push(Some(value));
        u32::try_from(self.slots.len() - 1).expect("fewer than 2^32")
    }

    pub(super) fn remove(&mut self, index: u32) {
        self.slots[index as usize] = None;
        self.free.push(index);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten()
    }

    /// Which are in use now.
    pub(super) fn indices(&self) -> Vec<u32> {
        (0..).zip(&self.slots).filter_map(|(index, slot)| slot.is_some().then_some(index)).collect()
    }
}

impl<T> std::ops::Index<u32> for Pool<T> {
    type Output = T;

    fn index(&self, index: u32) -> &T {
        self.slots[index as usize].as_ref().expect("an index is only used while its value is there")
    }
}

impl<T> std::ops::IndexMut<u32> for Pool<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        self.slots[index as usize].as_mut().expect("an index is only used while its value is there")
    }
}
