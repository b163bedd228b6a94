//! The commands that talk to a running sluicegate through its admin listener.

mod client;
mod health;
mod limit;
mod reload;
mod status;
mod table;
mod target;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Ending, print, print_error};
use client::Client;
use target::Target;

/// They end with 0 when it is done and 1 when it is not.
#[derive(Debug, Subcommand)]
pub(super) enum AdminCommand {
    /// Show the limits: who is in flight, who waits, what was rejected.
    Status {
        /// Print what the admin listener says, as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Change a limit of the running process for a while, or take that back.
    #[command(subcommand)]
    Limit(limit::LimitCommand),
    /// Have the running process load its configuration again.
    Reload {
        /// Only look for what is wrong with it.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Ask the running process to finish what it has and to end.
    Drain {
        #[command(flatten)]
        reach: Reach,
    },
    /// Say by the exit code whether the running process is alive.
    Health {
        /// Whether it should get requests, too: not while it drains.
        #[arg(long)]
        ready: bool,
        #[command(flatten)]
        reach: Reach,
    },
}

/// How the admin listener is found.
#[derive(Debug, Args)]
pub(super) struct Reach {
    /// Where the admin listener is [default: SLUICEGATE_ADMIN, or http://127.0.0.1:9901].
    #[arg(long, value_name = "URL")]
    admin: Option<String>,

    /// File with the token [default: SLUICEGATE_ADMIN_TOKEN, or the file of SLUICEGATE_ADMIN_TOKEN_FILE].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Reach {
    fn target(&self) -> Result<Target, String> {
        Target::find(self.admin.as_deref(), |name| std::env::var(name).ok())
    }

    fn client(&self) -> Result<Client, String> {
        match self.target()? {
            Target::Off => Err("the admin listener is off; say where another one is with --admin URL".to_owned()),
            Target::At(address) => Client::new(address, target::token(self.token_file.as_deref())?),
        }
    }
}

/// Does it.
pub(super) fn run(command: &AdminCommand) -> Ending {
    let done = match command {
        AdminCommand::Status { json, reach } => status::show(reach, *json),
        AdminCommand::Limit(command) => limit::run(command),
        AdminCommand::Reload { dry_run, reach } => reload::reload(reach, *dry_run),
        AdminCommand::Drain { reach } => drain(reach),
        AdminCommand::Health { ready, reach } => health::check(reach, *ready),
    };
    match done.and_then(|text| print(&text).map_err(|error| error.to_string())) {
        Ok(()) => Ending::Done,
        Err(error) => {
            print_error(format_args!("error: {error}"));
            Ending::Failed
        }
    }
}

fn drain(reach: &Reach) -> Result<String, String> {
    reach.client()?.ask("POST", "/api/v1/drain", None)?;
    Ok("draining\n".to_owned())
}

/// A member that every version of the admin listener has.
fn member<'a>(value: &'a Value, path: &str) -> Result<&'a Value, String> {
    value.pointer(path).ok_or_else(|| format!("the admin listener's answer has no {path}; is it of another version?"))
}
