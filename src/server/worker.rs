//! One worker: a thread that accepts and serves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::connection::Connection;
use super::drain::{Control, Stage};
use super::register::Register;
use super::settings::Settings;
use super::wire::Signals;
use crate::proxy::{Client, Proxy};
use crate::socket::Socket;

/// What a worker's connections share.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) proxy: Proxy,
    pub(super) settings: Arc<Settings>,
    pub(super) control: Arc<Control>,
    register: Arc<Register>,
}

/// How often idle upstream connections are looked through.
const PRUNE: Duration = Duration::from_secs(1);
/// When accepting fails for want of files or memory, waiting is all that can be done.
const BACK_OFF: Duration = Duration::from_millis(100);

impl Worker {
    pub(super) fn new(proxy: Proxy, settings: Arc<Settings>, control: Arc<Control>) -> Self {
        Worker { proxy, settings, control, register: Arc::default() }
    }

    /// Serves until the server has stopped.
    pub(super) async fn run(self, listeners: Vec<std::net::TcpListener>) {
        let this = Arc::new(self);
        for listener in listeners {
            tokio::spawn(this.clone().listen(Listening { listener: Some(listener), control: this.control.clone() }));
        }
        let mut stage = this.control.changes();
        let mut prune = interval(PRUNE);
        prune.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = stage.changed() => {
                    this.register.wake_all();
                    if *stage.borrow_and_update() == Stage::Stopped {
                        return;
                    }
                }
                _ = prune.tick() => this.proxy.prune(),
            }
        }
    }

    async fn listen(self: Arc<Self>, mut listening: Listening) {
        let listener = listening.listener.take().expect("the listener was just made");
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "a listener can't be registered");
                return;
            }
        };
        let mut stage = self.control.changes();
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                _ = stage.wait_for(|stage| *stage >= Stage::Draining) => break,
            };
            match accepted {
                Ok((stream, peer)) => self.serve(stream, peer),
                Err(error) if is_one_connections(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "accepting failed");
                    sleep(BACK_OFF).await;
                }
            }
        }
        if let Ok(listener) = listener.into_std() {
            self.empty_backlog(&listener);
        }
    }

    /// Those in the backlog believe that they are connected; closing the listener would reset them. The runtime knows
    /// of them only when it looks again, so the kernel is asked.
    fn empty_backlog(self: &Arc<Self>, listener: &std::net::TcpListener) {
        loop {
            let accepted = listener.accept().and_then(|(stream, peer)| {
                stream.set_nonblocking(true)?;
                Ok((TcpStream::from_std(stream)?, peer))
            });
            match accepted {
                Ok((stream, peer)) => self.serve(stream, peer),
                Err(error) if is_one_connections(&error) => {}
                // The backlog is empty, or there is no file left for what is in it.
                Err(_) => return,
            }
        }
    }

    fn serve(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let client = Arc::new(Client::new(peer.ip(), &self.settings.trusted_proxies));
        let signals = Arc::<Signals>::default();
        let registered = self.register.enter(&self.control, signals.clone());
        tokio::spawn(Connection::new(self.clone(), Socket::new(stream), client, signals, registered).run());
    }
}

/// An error of the connection that was to be accepted, not of the listener.
fn is_one_connections(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Counts a listener until it has closed.
struct Listening {
    listener: Option<std::net::TcpListener>,
    control: Arc<Control>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.control.listeners.fetch_sub(1, Relaxed);
        self.control.ended.notify_one();
    }
}
