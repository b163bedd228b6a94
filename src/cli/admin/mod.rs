//! The commands that talk to a running sluicegate through its admin listener.

mod client;
mod endpoint;
mod health;
mod limit;
mod reload;
mod requests;
mod status;
mod suggest;
mod table;
mod target;
mod watch;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Ending, print, print_error};
use crate::admin::Secret;
use crate::config::{self, Flags, Sources};
use crate::server::Listen;
use client::Client;
use target::Target;

/// They end with 0 when it is done and 1 when it is not.
#[derive(Debug, Subcommand)]
pub(super) enum AdminCommand {
    /// Show the limits: who is in flight, who waits, what was rejected.
    Status {
        /// Show it again each second, until Ctrl-C; on a terminal in place.
        #[arg(long)]
        watch: bool,
        /// Print what the admin listener says, as JSON; with --watch one line each time.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// List the requests that run and those that wait, with a line for each of their limits.
    Ps {
        /// The limit's name; an inline limit has its route's name [default: all].
        limit: Option<String>,
        /// Only those that wait.
        #[arg(long)]
        waiting: bool,
        /// Print what the admin listener says, as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// End a request: one that waits is turned away, one that runs gets no more of its answer.
    Cancel {
        /// Its X-Request-Id.
        request_id: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Say why a request was turned away, if it is one of the last thousand.
    Why {
        /// Its X-Request-Id.
        request_id: String,
        /// Print what the admin listener says, as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Say which number Little's law suggests for each limit, by the last five minutes.
    Suggest {
        /// Print what the admin listener says, as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Change a limit of the running process for a while, or take that back.
    #[command(subcommand)]
    Limit(limit::LimitCommand),
    /// Take an endpoint out, or back.
    #[command(subcommand)]
    Endpoint(endpoint::EndpointCommand),
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
    /// Where the admin listener is [default: SLUICEGATE_ADMIN, the configuration, or http://127.0.0.1:9901].
    #[arg(long, value_name = "URL")]
    admin: Option<String>,

    /// File with the token [default: SLUICEGATE_ADMIN_TOKEN, or the file of SLUICEGATE_ADMIN_TOKEN_FILE].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Configuration file that says where the admin listener is; may be given several times, later files win.
    #[arg(short, long = "config", value_name = "FILE", conflicts_with = "admin")]
    config: Vec<PathBuf>,
}

impl Reach {
    fn target(&self) -> Result<(Target, Option<Secret>), String> {
        let named = !self.config.is_empty();
        let configured = || {
            match self.sources().and_then(|sources| config::admin(&sources)) {
                Ok(settings) => Ok(settings),
                // Who has named the file is told what is wrong with it; else there may be none that is meant.
                Err(error) if named => Err(error.to_string().trim_start_matches("error: ").to_owned()),
                Err(_) => Ok(None),
            }
        };
        // A file that was named goes before the environment, as it is nearer.
        let variable = |name: &str| std::env::var(name).ok().filter(|_| !named);
        Target::find(self.admin.as_deref(), variable, configured)
    }

    fn sources(&self) -> Result<Sources, config::Error> {
        Sources::try_from_process(self.config.clone(), Flags::default())
    }

    /// Where clients are listened to, as far as the configuration can be read and says so.
    fn listening(&self) -> Option<Vec<Listen>> {
        self.sources().and_then(|sources| config::listen(&sources)).ok()?
    }

    fn client(&self) -> Result<Client, String> {
        let (target, configured) = self.target()?;
        match target {
            Target::Off => Err("the admin listener is off; say where another one is with --admin URL".to_owned()),
            Target::At(address) => {
                let token = target::token(self.token_file.as_deref())?;
                Client::new(address, token.or_else(|| configured.map(|secret| secret.token().reveal().to_owned())))
            }
        }
    }
}

/// Does it.
pub(super) fn run(command: &AdminCommand) -> Ending {
    let done = match command {
        AdminCommand::Status { watch: true, json, reach } => watch::watch(reach, *json),
        AdminCommand::Status { watch: false, json, reach } => status::show(reach, *json),
        AdminCommand::Ps { limit, waiting, json, reach } => requests::list(reach, limit.as_deref(), *waiting, *json),
        AdminCommand::Cancel { request_id, reach } => requests::cancel(reach, request_id),
        AdminCommand::Why { request_id, json, reach } => requests::why(reach, request_id, *json),
        AdminCommand::Suggest { json, reach } => suggest::suggest(reach, *json),
        AdminCommand::Limit(command) => limit::run(command),
        AdminCommand::Endpoint(command) => endpoint::run(command),
        AdminCommand::Reload { dry_run, reach } => reload::reload(reach, *dry_run),
        AdminCommand::Drain { reach } => drain(reach),
        AdminCommand::Health { ready, reach } => health::check(reach, *ready),
    };
    match done.map(|text| print(&text)) {
        Ok(Ok(())) => Ending::Done,
        Ok(Err(_)) => Ending::Failed,
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

/// A text as one segment of a path, whatever it is.
fn segment(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// A member that every version of the admin listener has.
fn member<'a>(value: &'a Value, path: &str) -> Result<&'a Value, String> {
    value.pointer(path).ok_or_else(|| format!("the admin listener's answer has no {path}; is it of another version?"))
}
