//! What has become of each request?
//!
//! One line per finished request. A request carries an [`Open`] entry, which becomes a line when it is dropped: with the
//! last frame of the answer, or whenever else the request ends. Its worker writes it down on a sheet of its own, of bounded
//! size, and a thread takes the sheets to where they are read: a slow reader of the log delays no request, it loses lines,
//! which are counted.

mod burst;
mod entry;
mod json;
mod line;
mod missing;
mod output;
mod readers;
mod repeated;
mod settings;
mod sheets;
mod stamp;
mod writer;

pub use entry::{DRAINING, Entry, Left, Names, Open, Outcome, Traced};
pub use line::SHORT_ID;
pub use output::{OpenError, Output};
pub use readers::{Readers, TraceCounts, Tracer};
pub use settings::{AccessLog, Lines, LogFormat};
pub use writer::{Log, Writer};
