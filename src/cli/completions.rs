//! `completions`: what a shell needs to complete the command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Ending};

pub(super) fn print(shell: Shell) -> Ending {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sluicegate", &mut script);
    match super::print(&String::from_utf8_lossy(&script)) {
        Ok(()) => Ending::Done,
        Err(_) => Ending::Failed,
    }
}
