//! What should the limit be?
//!
//! Pure: no clock, no I/O, no locks. Whoever owns a [`Knee`] feeds it [windows](Window) of what was seen and enforces what
//! it [decides](Decision). Promised: never below `min` nor above `max`; per decision at most the double or the half of a
//! limit that was tried before, four times where times rose without load; each decision has a [`Reason`]. Bounded state,
//! nothing allocated.
//!
//! Times are of answers that came; what failed or was given up counts as lost, never as fast.

mod decision;
mod knee;
mod level;
mod observer;
mod settings;
mod window;

pub use decision::{Decision, Reason};
pub use knee::Knee;
pub use level::Estimate;
pub use observer::Observer;
pub use settings::{INITIAL, Memory, Settings, Start};
pub use window::{Moments, Window};

/// Decides how many requests may be in flight. Fed what was seen since the last time, off the request path.
pub trait LimitAlgorithm: Send {
    /// Takes in a window, and says the limit from now on and why.
    fn update(&mut self, window: &Window) -> Decision;
}
