//! Ten requests at once, an API that does a second of work for each, and a gate that lets three in at a time.
//!
//! `cargo run --release --example ten_tasks` starts the API, sluicegate in front of it, and ten clients, all in this
//! process, and shows what the API sees.

use std::convert::Infallible;
use std::error::Error;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sluicegate::access_log::Readers;
use sluicegate::config::{Flags, Sources, load};
use sluicegate::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TASKS: usize = 10;
const LIMIT: usize = 3;
const WORK: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let api = TcpListener::bind("127.0.0.1:0").await?;
    let api_address = api.local_addr()?;
    let timeline = Arc::new(Mutex::new(Timeline::new()));
    tokio::spawn(serve(api, timeline.clone()));

    // What `sluicegate --upstream http://… --limit 3 --listen 127.0.0.1:0` does.
    let flags = Flags {
        upstream: Some(format!("http://{api_address}")),
        limit: Some(LIMIT.to_string()),
        listen: vec!["127.0.0.1:0".into()],
        ..Flags::default()
    };
    let settings = load(&Sources { flags, ..Sources::default() })?.settings;
    let gate = Server::start(settings.server, settings.plan, Readers::default())?;
    let gate_address = gate.addresses()[0];

    println!("{TASKS} clients -> sluicegate, limit {LIMIT} -> an API that works {WORK:?} on each request\n");
    println!("   time  inside the API");
    timeline.lock().expect(UNPOISONED).start = Instant::now();
    let clients: Vec<_> = (1..=TASKS).map(|task| tokio::spawn(ask(gate_address, task))).collect();
    let mut answered = 0;
    for client in clients {
        answered += usize::from(client.await?? == 200);
    }
    gate.drain().await;

    let as_it_should_be = timeline.lock().expect(UNPOISONED).summary(answered);
    println!(
        "\nBy hand, in three terminals:\n  \
         cargo run --release --example upstream -- 3000 1s\n  \
         cargo run --release -- --upstream http://127.0.0.1:3000 --limit {LIMIT} --listen 127.0.0.1:8080\n  \
         for task in $(seq {TASKS}); do curl -s http://127.0.0.1:8080/$task & done; wait"
    );
    Ok(if as_it_should_be { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The API: an ordinary hyper server that knows nothing of a limit.
async fn serve(listener: TcpListener, timeline: Arc<Mutex<Timeline>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let timeline = timeline.clone();
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let timeline = timeline.clone();
            async move {
                let task = request.uri().path().trim_start_matches('/').to_owned();
                timeline.lock().expect(UNPOISONED).enter(&task);
                tokio::time::sleep(WORK).await;
                timeline.lock().expect(UNPOISONED).leave(&task);
                Ok::<_, Infallible>(Response::new(format!("task {task} is done\n")))
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// One client: a plain GET. Returns the status of its answer.
async fn ask(gate: SocketAddr, task: usize) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(gate).await?;
    stream.write_all(format!("GET /{task} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0))
}

/// What the API sees, printed as it happens.
struct Timeline {
    start: Instant,
    inside: Vec<String>,
    peak: usize,
    starts: Vec<Instant>,
    colour: bool,
}

impl Timeline {
    fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colour = wanted && std::io::stdout().is_terminal();
        Timeline { start: Instant::now(), inside: Vec::new(), peak: 0, starts: Vec::new(), colour }
    }

    fn enter(&mut self, task: &str) {
        self.inside.push(task.to_owned());
        self.peak = self.peak.max(self.inside.len());
        self.starts.push(Instant::now());
        self.line("32", &format!("+ task {task} begins"));
    }

    fn leave(&mut self, task: &str) {
        self.inside.retain(|inside| inside != task);
        self.line("2", &format!("- task {task} is done"));
    }

    fn line(&self, colour: &str, event: &str) {
        let time = self.start.elapsed().as_secs_f64();
        let bar = "#".repeat(self.inside.len()) + &".".repeat(LIMIT.saturating_sub(self.inside.len()));
        let event = if self.colour { format!("\x1b[{colour}m{event}\x1b[0m") } else { event.to_owned() };
        println!("{time:6.2}s  [{bar}] {}  {event}", self.inside.len());
    }

    /// Prints how it went, and returns whether it went as promised.
    fn summary(&self, answered: usize) -> bool {
        let took = self.start.elapsed().as_secs_f64();
        // A round begins where a start follows half a task's time after the one before.
        let gaps = self.starts.windows(2).filter(|pair| pair[1] - pair[0] > WORK / 2).count();
        let rounds = gaps + 1;
        println!("\nanswered: {answered} of {TASKS}");
        println!("peak inside the API: {} (limit {LIMIT})", self.peak);
        println!("rounds: {rounds} in {took:.1} s");
        self.peak == LIMIT && answered == TASKS && rounds == TASKS.div_ceil(LIMIT)
    }
}

const UNPOISONED: &str = "nobody panics while holding the timeline";
