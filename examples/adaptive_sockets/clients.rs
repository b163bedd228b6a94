//! Clients that come at random, whatever becomes of those before them, and give up after a second.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout};

/// So many requests a second, for so long.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) per_second: f64,
    pub(super) seconds: f64,
    /// The first of them do not count.
    pub(super) skipped: f64,
}

/// What came of a stage.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    seconds: f64,
    /// How long answers took after their admission.
    times: Vec<f64>,
    /// The limit, as each that came found it.
    limits: f64,
    came: u32,
    /// Seconds of a processor.
    worked: f64,
}

impl Outcome {
    pub(super) fn good_per_second(&self) -> f64 {
        self.times.len() as f64 / self.seconds
    }

    /// Without the wait.
    pub(super) fn p99_admitted(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN)
    }

    /// The limit, in the mean.
    pub(super) fn limit(&self) -> f64 {
        self.limits / f64::from(self.came.max(1))
    }

    /// How many processors this process kept busy.
    pub(super) fn processors(&self) -> f64 {
        self.worked / self.seconds
    }

    /// Another run of the same stage.
    pub(super) fn add(&mut self, other: Outcome) {
        self.seconds += other.seconds;
        self.times.extend(other.times);
        self.limits += other.limits;
        self.came += other.came;
        self.worked += other.worked;
    }
}

/// What this process has taken of its processors, in seconds.
fn worked() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

const PATIENCE: Duration = Duration::from_secs(1);

/// Connections that are kept, and what has come of which stage.
struct Shared {
    address: SocketAddr,
    idle: RefCell<Vec<TcpStream>>,
    outcomes: RefCell<Vec<Outcome>>,
    stage: Cell<usize>,
    counts: Cell<bool>,
}

pub(super) async fn run(
    address: SocketAddr,
    stages: &[Stage],
    begin: impl Fn(usize),
    limit: impl Fn() -> u32,
) -> Vec<Outcome> {
    let shared = Rc::new(Shared {
        address,
        idle: RefCell::default(),
        outcomes: RefCell::new(stages.iter().map(|_| Outcome::default()).collect()),
        stage: Cell::new(0),
        counts: Cell::new(false),
    });
    let local = LocalSet::new();
    local.run_until(come(&shared, stages, begin, limit)).await;
    shared.outcomes.take()
}

async fn come(shared: &Rc<Shared>, stages: &[Stage], begin: impl Fn(usize), limit: impl Fn() -> u32) {
    for (index, stage) in stages.iter().enumerate() {
        begin(index);
        shared.stage.set(index);
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let (mut next, mut before) = (0.0, worked());
        shared.counts.set(stage.skipped == 0.0);
        while next < stage.seconds {
            next += -(1.0 - fastrand::f64()).ln() / stage.per_second;
            sleep_until(at(next)).await;
            if next >= stage.skipped {
                if !shared.counts.replace(true) {
                    before = worked();
                }
                let outcome = &mut shared.outcomes.borrow_mut()[index];
                (outcome.limits, outcome.came) = (outcome.limits + f64::from(limit()), outcome.came + 1);
            }
            tokio::task::spawn_local(ask(shared.clone()));
        }
        let outcome = &mut shared.outcomes.borrow_mut()[index];
        outcome.seconds = stage.seconds - stage.skipped;
        outcome.worked = worked() - before;
    }
}

async fn ask(shared: Rc<Shared>) {
    let start = Instant::now();
    let idle = shared.idle.borrow_mut().pop();
    let asked = timeout(PATIENCE, async {
        let mut stream = match idle {
            Some(stream) => stream,
            None => TcpStream::connect(shared.address).await.expect("the proxy takes connections"),
        };
        let answer = exchange(&mut stream).await?;
        shared.idle.borrow_mut().push(stream);
        Some(answer)
    });
    // Counted where its answer comes, since that is what is done there.
    if let Ok(Some(wait)) = asked.await.map(Option::flatten)
        && shared.counts.get()
    {
        shared.outcomes.borrow_mut()[shared.stage.get()].times.push(start.elapsed().as_secs_f64() - wait);
    }
}

/// How long it waited, if the answer is a good one; `None` within for another.
async fn exchange(stream: &mut TcpStream) -> Option<Option<f64>> {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: upstream\r\n\r\n").await.ok()?;
    let mut answer = Vec::with_capacity(512);
    let (head, length) = loop {
        if stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            let length: usize = field(&head, "content-length")?.parse().ok()?;
            break (head, end + 4 + length);
        }
    };
    while answer.len() < length {
        if stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
    }
    let wait = field(&head, "x-sluicegate-queue").and_then(|queue| queue.split("wait=").nth(1)?.parse().ok());
    Some(head.starts_with("http/1.1 200").then_some(wait.unwrap_or(0.0)))
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
