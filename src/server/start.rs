//! Starting the workers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::sync::mpsc::unbounded_channel;

use super::drain::{Control, Drained};
use super::files::Files;
use super::handle::Handle;
use super::listen::Listen;
use super::listener::Listening;
use super::places::Places;
use super::settings::Settings;
use super::spread::Spread;
use super::worker::Worker;
use crate::access_log::Readers;
use crate::proxy::{Conflict, Plan, Proxy, Shared};

/// A running server. Dropped without [`drain`](Server::drain), it goes on until the process ends.
#[derive(Debug)]
pub struct Server {
    listening: Vec<Listening>,
    in_force: Arc<ArcSwap<Shared>>,
    control: Arc<Control>,
    files: Files,
    places: Arc<Mutex<Places>>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Why a server does not start, or does not follow another configuration. Nothing is left running then, or nothing has
/// changed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Routes that one request could match equally well.
    #[error("{} pairs of routes can match the same request equally", .0.len())]
    Routes(Vec<Conflict>),
    /// A place can't be listened at.
    #[error("cannot listen on {listen}")]
    Listen {
        /// Which.
        listen: Listen,
        /// Why.
        source: io::Error,
    },
    /// No thread, or no runtime in it.
    #[error("cannot start a worker")]
    Worker(#[source] io::Error),
}

impl StartError {
    pub(super) fn listen((listen, source): (Listen, io::Error)) -> Self {
        StartError::Listen { listen, source }
    }
}

impl Server {
    /// Listens, and starts the workers' threads. What becomes of requests goes to `readers`.
    ///
    /// # Errors
    /// When an address or a socket's file is taken, or a worker can't be started.
    pub fn start(settings: Settings, plan: Plan, readers: Readers) -> Result<Self, StartError> {
        let workers = settings.threads.get();
        let shared = Shared::try_new(plan, workers, readers).map_err(StartError::Routes)?;
        let in_force = Arc::new(ArcSwap::from_pointee(shared));
        let (spread, handed) = Spread::new(workers);
        let control = Arc::new(Control::new(settings, spread));
        let files = Files::watch(in_force.clone(), control.clone()).map_err(StartError::Worker)?;

        let settings = control.settings.load_full();
        let (senders, listeners): (Vec<_>, Vec<_>) = (0..workers).map(|_| unbounded_channel()).unzip();
        let mut places = Places::new(senders);
        let bound = places.bind(&settings).map_err(StartError::listen)?;
        // Nothing was held before, so nothing leaves.
        let _ = places.follow(&settings, bound, &control);
        let listening = places.listening();

        let mut threads = Vec::new();
        let failed = |error| {
            // Those that have started already.
            control.stop();
            StartError::Worker(error)
        };
        for (index, (listeners, handed)) in listeners.into_iter().zip(handed).enumerate() {
            let proxy = Proxy::new(in_force.clone(), index);
            let worker = Worker::new(index, proxy, settings.clone(), control.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
            let thread = thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    runtime.block_on(worker.run(listeners, handed));
                    // A look-up of a name may still be under way, and can't be stopped.
                    runtime.shutdown_background();
                })
                .map_err(failed)?;
            threads.push(thread);
        }
        let places = Arc::new(Mutex::new(places));
        Ok(Server { listening, in_force, control, files, places, threads })
    }

    /// A handle to watch and steer it with.
    pub fn handle(&self) -> Handle {
        Handle::new(self.in_force.clone(), self.control.clone(), self.files.clone(), self.places.clone())
    }

    /// Where it listens since its start, in the order of the settings.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// The addresses among the places where it listens, with the real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listening.iter().filter_map(|listening| listening.address).collect()
    }

    /// Stops accepting, finishes what is in flight or waiting, and ends. What has not finished `drain_timeout` from now
    /// is cut.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the server in the middle of its drain, without an end.
    pub async fn drain(self) -> Drained {
        let drained = self.control.drain(&self.in_force).await;
        for thread in self.threads {
            // The workers end at once now; one that has panicked has lost what it had, which was counted or not.
            let _ = thread.join();
        }
        drained
    }
}
