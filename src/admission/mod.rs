//! May this request go now?
//!
//! A [`Limiter`] holds a number of permits and a queue. What it promises:
//!
//! - **Strict.** In-flight never exceeds the limit: it is counted in the same word as the limit, and permits are taken
//!   by one compare-and-swap on that word. Only a request that takes more than the limit runs alone, and a dry run lets
//!   everybody pass.
//! - **In order.** While somebody waits, a newcomer does not pass but by the limit's rules: [`Level`], keys that take
//!   turns, [`Order`]. Without them, arrival order is admission order.
//! - **Nothing in vain.** Nobody whose deadline has passed is let in, and nobody waits for a turn that would come after
//!   it, as far as can be known.
//! - **Hand-off.** A permit that comes back goes to the next waiter before that waiter is woken, so capacity never idles
//!   and nobody slips in between.
//! - **Bounded.** At most `queue` wait, none much longer than `queue_timeout`; a rejection takes no lock.
//! - **Exactly once.** A [`Permit`] gives itself back when dropped. A future that is dropped leaves the queue, and gives
//!   back what it was granted and had not collected.
//!
//! As a tower layer, [`AdmissionLayer`] holds a permit from admission to the last frame of the response body. A service
//! that has to hold it longer implements `Service<Admitted<_>>` and stands directly inside [`Admission`].

mod account;
mod acquire;
mod adaptive;
mod arrive;
mod at_once;
mod atomic;
mod body;
mod claim;
mod counts;
mod crowd;
mod dry_run;
mod full;
mod future;
mod gate;
mod judge;
mod key;
mod layer;
mod limiter;
mod limits;
mod observe;
mod overrides;
mod peak;
mod permit;
mod rejection;
mod service;
mod settings;
mod spool;
mod sums;
mod tally;
#[cfg(test)]
mod tests;
mod waiting;
mod word;

pub use account::Account;
pub use acquire::Acquire;
pub use adaptive::{Adaptive, AdaptiveSettings, AdaptiveStatus, Adjusted, Samples, Seen, TICK};
#[cfg(feature = "proxy")]
pub(crate) use at_once::AtOnce;
pub use body::PermitBody;
pub use claim::{Claim, Keyed, Keys, NoKeys};
pub use counts::Counts;
pub use future::ResponseFuture;
pub use key::Key;
pub use layer::AdmissionLayer;
pub use limiter::Limiter;
pub use limits::{AcquireAll, Limits};
pub use observe::{Forecast, Second, Waiter};
pub use overrides::Overrides;
pub use permit::{Permit, Waited};
pub use rejection::{Reason, Rejection};
pub use service::{Admission, Admitted, Error, HoldPermit};
pub use settings::{Hold, LIMIT_MAX, Settings, default_queue};
pub use spool::Spool;

pub use crate::limit::{INITIAL, Reason as LimitReason};
pub use crate::queue::{KeyRule, Level, Order, Rules};
