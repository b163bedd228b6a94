//! Starting the workers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use arc_swap::ArcSwap;

use super::drain::{Control, Drained};
use super::files::Files;
use super::handle::Handle;
use super::listen::Listen;
use super::listener::{Listening, bind_all};
use super::settings::Settings;
use super::worker::Worker;
use crate::access_log::Log;
use crate::proxy::{Conflict, Plan, Proxy, Shared};

/// A running server. Dropped without [`drain`](Server::drain), it goes on until the process ends.
#[derive(Debug)]
pub struct Server {
    listening: Vec<Listening>,
    settings: Arc<Settings>,
    in_force: Arc<ArcSwap<Shared>>,
    control: Arc<Control>,
    files: Files,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Why a server does not start. Nothing is left running then.
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

impl Server {
    /// Listens, and starts the workers' threads. What becomes of requests goes to `log`.
    ///
    /// # Errors
    /// When an address or a socket's file is taken, or a worker can't be started.
    pub fn start(settings: Settings, plan: Plan, log: Option<Log>) -> Result<Self, StartError> {
        let workers = settings.threads.get();
        let settings = Arc::new(settings);
        let shared = Shared::try_new(plan, workers, log).map_err(StartError::Routes)?;
        let in_force = Arc::new(ArcSwap::from_pointee(shared));
        let control = Arc::new(Control::new(settings.max_connections.get()));
        let files =
            Files::watch(settings.tls.clone(), in_force.clone(), control.clone()).map_err(StartError::Worker)?;

        let bound = bind_all(&settings, workers).map_err(|(listen, source)| StartError::Listen { listen, source })?;
        let mut listening = Vec::new();
        let mut listeners: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        for place in bound {
            listening.push(place.listening);
            listeners.iter_mut().zip(place.listeners).for_each(|(worker, listener)| worker.push(listener));
        }
        // Counted here, so that a drain that begins at once waits for workers that have not begun.
        control.listeners.store(listening.len() * workers, Relaxed);

        let mut threads = Vec::new();
        let failed = |error| {
            // Those that have started already.
            control.stop();
            StartError::Worker(error)
        };
        for (index, listeners) in listeners.into_iter().enumerate() {
            let worker = Worker::new(Proxy::new(in_force.clone(), index), settings.clone(), control.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
            let thread = thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    runtime.block_on(worker.run(listeners));
                    // A look-up of a name may still be under way, and can't be stopped.
                    runtime.shutdown_background();
                })
                .map_err(failed)?;
            threads.push(thread);
        }
        Ok(Server { listening, settings, in_force, control, files, threads })
    }

    /// A handle to watch and steer it with.
    pub fn handle(&self) -> Handle {
        Handle::new(self.in_force.clone(), self.control.clone(), self.files.clone(), self.settings.tls.clone())
    }

    /// Where it listens, in the order of the settings.
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
        let drained = self.control.drain(&self.settings, &self.in_force).await;
        for thread in self.threads {
            // The workers end at once now; one that has panicked has lost what it had, which was counted or not.
            let _ = thread.join();
        }
        drained
    }
}
