//! The program around the library: exit codes have their one home here.

use std::process::ExitCode;

use sluicegate::cli::{self, Ending};

/// What has been freed goes back to the system, also where small things that last lie between large ones that don't, and
/// memory that nobody has written to costs nothing: an idle connection takes half, and nothing stays of a full queue.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match cli::main() {
        Ending::Done => ExitCode::SUCCESS,
        Ending::Failed => ExitCode::from(1),
        Ending::Misused => ExitCode::from(2),
        Ending::NoRoute => ExitCode::from(3),
    }
}
