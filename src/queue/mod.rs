//! Who goes next?
//!
//! Pure: no clock, no I/O, no locks. Whoever owns a [`Line`] passes time in and wakes the waiters that come out.
//! Promised: arrival order is the order of [`Line::front`]; push, settle and remove take constant time and, once warm,
//! allocate nothing; a ticket is good for exactly one waiter.

mod drain_rate;
mod line;
#[cfg(test)]
mod tests;

pub use drain_rate::DrainRate;
pub use line::{Line, Ticket};
