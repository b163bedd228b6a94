//! The atomics of the gate's word and of the time at the limit; where they are checked under all interleavings, the
//! checker's own take their place.

pub(super) use std::sync::atomic::{AtomicU64, Ordering, fence};
