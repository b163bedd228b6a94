//! An upstream with a knee: all that are inside share its places.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How much it can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Knee {
    /// So many at a time are as fast as one.
    pub(super) places: f64,
    /// Time in which nothing is done for a request, and no place is taken.
    pub(super) pause: Duration,
}

/// What requests need: kinds of them, each with its share.
#[derive(Debug, Clone)]
pub(super) struct Work(Vec<(f64, Kind)>);

/// A distribution with its mean in seconds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    LogNormal { mean: f64, sigma: f64 },
    Pareto { mean: f64, alpha: f64 },
}

impl Work {
    pub(super) fn log_normal(mean: Duration, sigma: f64) -> Self {
        Work(vec![(1.0, Kind::LogNormal { mean: mean.as_secs_f64(), sigma })])
    }

    pub(super) fn pareto(mean: Duration, alpha: f64) -> Self {
        Work(vec![(1.0, Kind::Pareto { mean: mean.as_secs_f64(), alpha })])
    }

    /// Nine of ten take a fifth of the mean, the tenth the rest: forty times as long.
    pub(super) fn two(mean: Duration) -> Self {
        let kind = |times: f64| Kind::LogNormal { mean: times * mean.as_secs_f64(), sigma: 0.5 };
        Work(vec![(0.9, kind(0.2)), (0.1, kind(8.2))])
    }

    fn mean(&self) -> f64 {
        self.0.iter().map(|(share, Kind::LogNormal { mean, .. } | Kind::Pareto { mean, .. })| share * mean).sum()
    }

    fn draw(&self) -> f64 {
        let mut at = fastrand::f64();
        let chosen = self.0.iter().find(|(share, _)| {
            at -= share;
            at < 0.0
        });
        match chosen.unwrap_or(&self.0[0]).1 {
            Kind::LogNormal { mean, sigma } => {
                // Box and Muller.
                let normal =
                    (-2.0 * (1.0 - fastrand::f64()).ln()).sqrt() * (std::f64::consts::TAU * fastrand::f64()).cos();
                mean * (sigma * normal - 0.5 * sigma * sigma).exp()
            }
            Kind::Pareto { mean, alpha } => mean * (alpha - 1.0) / alpha * (1.0 - fastrand::f64()).powf(-1.0 / alpha),
        }
    }
}

impl Knee {
    /// What it does at best.
    pub(super) fn per_second(&self, work: &Work) -> f64 {
        self.places / work.mean()
    }
}

/// Changes it while it runs.
#[derive(Clone)]
pub(super) struct Knob(Arc<Mutex<Inside>>);

struct Inside {
    knee: Knee,
    /// How much was done for each of those inside, in seconds of a place.
    done: f64,
    seen: Instant,
    finished: u64,
    /// When each is finished, by what was done.
    ends: BinaryHeap<Reverse<End>>,
}

struct End {
    at: f64,
    told: oneshot::Sender<()>,
}

impl PartialEq for End {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for End {}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for End {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.total_cmp(&other.at)
    }
}

impl Knob {
    pub(super) fn set(&self, knee: Knee) {
        let mut inside = self.0.lock().expect("nothing panics under it");
        inside.work();
        inside.knee = knee;
    }

    /// How many it works on, and how many it has finished.
    pub(super) fn seen(&self) -> (usize, u64) {
        let inside = self.0.lock().expect("nothing panics under it");
        (inside.ends.len(), inside.finished)
    }
}

impl Inside {
    /// Does what is to be done until now, from end to end: with each, the others get more.
    fn work(&mut self) {
        let now = Instant::now();
        let mut left = now.duration_since(std::mem::replace(&mut self.seen, now)).as_secs_f64();
        while left > 0.0
            && let Some(Reverse(End { at, .. })) = self.ends.peek()
        {
            let share = self.knee.places / self.ends.len() as f64;
            // Beyond the knee its throughput falls with the square of the crowd.
            let pace = if share < 1.0 { share.powi(3) } else { 1.0 };
            let needed = (at - self.done).max(0.0) / pace;
            if needed > left {
                self.done += left * pace;
                return;
            }
            (self.done, left) = (*at, left - needed);
            if let Some(Reverse(End { told, .. })) = self.ends.pop() {
                self.finished += 1;
                // Whoever asked may be gone.
                let _ = told.send(());
            }
        }
    }
}

/// Starts one on a thread of its own.
pub(super) fn start(work: Work, knee: Knee) -> io::Result<(SocketAddr, Knob)> {
    let inside = Inside { knee, done: 0.0, seen: Instant::now(), finished: 0, ends: BinaryHeap::new() };
    let knob = Knob(Arc::new(Mutex::new(inside)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let shared = knob.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(serve(listener, shared, Arc::new(work)));
    });
    Ok((address, knob))
}

async fn serve(listener: std::net::TcpListener, knob: Knob, work: Arc<Work>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let worker = knob.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        loop {
            ticks.tick().await;
            worker.0.lock().expect("nothing panics under it").work();
        }
    });
    while let Ok((stream, _)) = listener.accept().await {
        let (knob, work) = (knob.clone(), work.clone());
        let service = service_fn(move |request| answer(request, knob.clone(), work.clone()));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// Its work goes on, whether its client waits or not.
async fn answer<B>(_: Request<B>, knob: Knob, work: Arc<Work>) -> Result<Response<String>, Infallible> {
    let (told, end) = oneshot::channel();
    let pause = {
        let mut inside = knob.0.lock().expect("nothing panics under it");
        inside.work();
        let at = inside.done + work.draw();
        inside.ends.push(Reverse(End { at, told }));
        inside.knee.pause
    };
    let _ = end.await;
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    Ok(Response::new("done\n".to_owned()))
}
