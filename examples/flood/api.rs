//! The API: an ordinary hyper server over something that has ten places, such as the cores of a machine or the
//! connections of a database.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::{Instant, interval};

/// How many can work at once without being in each other's way.
pub(crate) const PLACES: u32 = 10;
/// What a request takes when it is not crowded, in seconds.
const WORK: f64 = 0.05;
/// Requests a second, at best.
pub(crate) const CAPACITY: u32 = 200;
/// What each ten too many cost: context switches, cache misses, locks, rows that somebody else holds.
const CROWDING: f64 = 0.1;

/// What is inside. A request stays until its work is done, also when its client has left.
#[derive(Default)]
pub(crate) struct Api {
    inside: Mutex<Vec<Job>>,
}

struct Job {
    /// Seconds of work that are left.
    left: f64,
    done: oneshot::Sender<()>,
}

impl Api {
    /// Listens, and returns where.
    pub(crate) async fn start() -> io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let api = Arc::new(Api::default());
        tokio::spawn(api.clone().work());
        tokio::spawn(api.serve(listener));
        Ok(address)
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let api = self.clone();
            let service = service_fn(move |_: Request<hyper::body::Incoming>| {
                let done = api.begin();
                async move {
                    // It fails only when the process ends.
                    let _ = done.await;
                    Ok::<_, Infallible>(Response::new("done\n".to_owned()))
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    fn begin(&self) -> oneshot::Receiver<()> {
        let (done, is_done) = oneshot::channel();
        let left = WORK * (0.5 + fastrand::f64());
        self.inside.lock().expect(UNPOISONED).push(Job { left, done });
        is_done
    }

    /// Shares what can be done among all that are inside.
    async fn work(self: Arc<Self>) {
        let mut ticks = interval(Duration::from_millis(2));
        let mut last = Instant::now();
        loop {
            let now = ticks.tick().await;
            let passed = (now - last).as_secs_f64();
            last = now;
            let mut inside = self.inside.lock().expect(UNPOISONED);
            let each = passed * share(inside.len());
            for job in inside.iter_mut() {
                job.left -= each;
            }
            for job in inside.extract_if(.., |job| job.left <= 0.0) {
                // Its client may have left.
                let _ = job.done.send(());
            }
        }
    }
}

/// How fast each of so many goes; 1 when there are places enough.
fn share(inside: usize) -> f64 {
    let (inside, places) = (inside as f64, f64::from(PLACES));
    if inside <= places {
        return 1.0;
    }
    places / (1.0 + CROWDING * (inside - places) / places) / inside
}

const UNPOISONED: &str = "nobody panics while holding what is inside";
