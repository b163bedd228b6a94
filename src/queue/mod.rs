//! Who goes next?
//!
//! Pure: no clock, no I/O, no locks. Whoever owns a [`Queue`] passes time in and wakes the waiters that come out.
//!
//! Three questions, each with a file: which **level** (`level.rs`: strict priority, a level is worth five seconds of
//! waiting), whose **turn** on that level (`turns.rs`: keys take turns by the seats they get), and who within that turn
//! (`order.rs`: oldest or newest first). `choose.rs` asks them in this order; `queue.rs` is the whole from outside.
//! Beside them: who must go because time is over (`deadlines.rs`), who gives way when the queue is full (`room.rs`), who
//! has been overtaken too often to be served in time (`overtaken.rs`), what
//! a key may have at once (`flows.rs`), and in which order all of them would go (`upcoming.rs`). Waiters are kept in
//! `nodes.rs`, in lists per key and level (`lane.rs`).
//!
//! Promised:
//! - With one key or none, one level and [`Order::Fifo`], arrival order is admission order.
//! - Each operation takes constant time or the logarithm of the waiters and keys there are; once warm, nothing is
//!   allocated but an entry for a key that comes anew.
//! - A waiter takes 80 bytes with a waker; a key takes about 150 while it waits or, where it is capped, is in flight.
//! - A ticket is good for exactly one waiter.
//! - A key that always has somebody waiting is never more than one request and one turn of the others behind its share.

mod choose;
mod deadlines;
mod drain_rate;
mod flows;
mod heap;
mod lane;
mod level;
mod nodes;
mod order;
mod overtaken;
mod pool;
#[expect(clippy::module_inception, reason = "the file is named for the type that it is about")]
mod queue;
mod room;
mod saving;
#[cfg(test)]
mod tests;
mod turns;
mod upcoming;
mod view;

pub use choose::{Choice, Next, Room};
pub use drain_rate::DrainRate;
pub use flows::{FlowId, KeyRule, Rules};
pub use level::{Level, NoSuchLevel};
pub use nodes::Ticket;
pub use order::Order;
pub use queue::{Queue, Waiter};
pub use room::{Entry, Why};
pub use upcoming::Standing;
pub use view::{Ahead, KeyView};
