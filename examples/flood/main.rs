//! An API that collapses when too many work at once, flooded twice at the same time: without a limit, and with
//! sluicegate in front of it.
//!
//! `cargo run --release --example flood` takes twenty seconds, shows both live, and ends in a chart. Everything runs in
//! this process, over real connections.

mod api;
mod chart;
mod clients;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sluicegate::access_log::Readers;
use sluicegate::config::{Flags, Sources, load};
use sluicegate::server::Server;
use tokio::time::{Instant, interval_at};

use api::{Api, CAPACITY, PLACES};
use clients::{PATIENCE, Side};

/// What is asked for, second by second, in hundredths of what the API can do.
const LOAD: [u32; 20] = [70, 70, 70, 70, 300, 300, 300, 300, 300, 300, 300, 300, 70, 70, 70, 70, 70, 70, 70, 70];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    allow_open_files()?;
    let unguarded = Api::start().await?;
    let guarded = Api::start().await?;

    // What `sluicegate --upstream http://… --limit 10 --queue 50 --listen 127.0.0.1:0` does.
    let flags = Flags {
        upstream: Some(format!("http://{guarded}")),
        limit: Some(PLACES.to_string()),
        queue: Some("50".into()),
        listen: vec!["127.0.0.1:0".into()],
        ..Flags::default()
    };
    let settings = load(&Sources { flags, ..Sources::default() })?.settings;
    let gate = Server::start(settings.server, settings.plan, Readers::default())?;

    println!(
        "An API does {CAPACITY} requests a second with {PLACES} inside. The more are inside beyond that, the less it does."
    );
    println!("Clients give up after {PATIENCE:?}; the API works on for those who have gone.\n");
    let sides = flood(unguarded, gate.addresses()[0]).await;
    gate.drain().await;
    Ok(if chart::conclude(&sides) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends both sides the same, and prints a line a second.
async fn flood(unguarded: SocketAddr, guarded: SocketAddr) -> [Arc<Side>; 2] {
    let sides = [unguarded, guarded].map(|address| Arc::new(Side::new(address, LOAD.len())));
    chart::heading();
    let start = Instant::now();
    let mut seconds = interval_at(start + Duration::from_secs(1), Duration::from_secs(1));
    for (second, &load) in LOAD.iter().enumerate() {
        let asked = CAPACITY * load / 100;
        for side in &sides {
            tokio::spawn(side.clone().ask(start, second, asked));
        }
        seconds.tick().await;
        chart::line(second, asked, &sides);
    }
    // Who came last has not given up yet.
    tokio::time::sleep(PATIENCE).await;
    sides
}

/// A flood takes more connections than many systems allow a process unasked.
fn allow_open_files() -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(())
}
