//! The program around the library: exit codes have their one home here.

use std::process::ExitCode;

use sluicegate::cli::{self, Ending};

fn main() -> ExitCode {
    match cli::main() {
        Ending::Done => ExitCode::SUCCESS,
        Ending::Failed => ExitCode::from(1),
        Ending::Misused => ExitCode::from(2),
        Ending::NoRoute => ExitCode::from(3),
    }
}
