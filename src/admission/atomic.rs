//! The atomics of the gate's word; where they are checked under all interleavings, the checker's own take their place.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
