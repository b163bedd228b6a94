//! One worker: a thread that accepts and serves.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustls::ServerConnection;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::connection::Connection;
use super::crowd::Place;
use super::drain::{Control, Stage};
use super::listener::{Incoming, Listener};
use super::register::Register;
use super::settings::Settings;
use super::spread::{Handed, Seat};
use super::wire::Signals;
use crate::proxy::{Client, Proxy};
use crate::socket::{Socket, Stream};

/// What a worker's connections share.
#[derive(Debug)]
pub(super) struct Worker {
    index: usize,
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
    pub(super) fn new(index: usize, proxy: Proxy, settings: Arc<Settings>, control: Arc<Control>) -> Self {
        let register = Arc::default();
        control.crowd.watch(&register);
        Worker { index, proxy, settings, control, register }
    }

    /// Serves until the server has stopped.
    pub(super) async fn run(self, mut listeners: UnboundedReceiver<Listener>, mut handed: UnboundedReceiver<Handed>) {
        let this = Arc::new(self);
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
                Some(listener) = listeners.recv() => {
                    tokio::spawn(this.clone().listen(listener, Listening { control: this.control.clone() }));
                }
                Some(handed) = handed.recv() => this.clone().up_to_date().take(handed),
                _ = prune.tick() => this.proxy.prune(),
            }
        }
    }

    /// Accepts until the drain, or until the listener is to close. `closing` goes last, and with it the word that it has.
    async fn listen(mut self: Arc<Self>, listener: Listener, _listening: Listening) {
        let Listener { mut closing, incoming, tls, file } = listener;
        let listener = match incoming.into_accepting() {
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
                Ok(()) = closing.changed() => break,
                accepted = listener.accept() => accepted,
                _ = stage.wait_for(|stage| *stage >= Stage::Draining) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // The rest is kept by the kernel meanwhile. In a drain, whoever is here has been promised a place.
                    let place = tokio::select! {
                        biased;
                        place = self.control.crowd.place() => place,
                        _ = stage.wait_for(|stage| *stage >= Stage::Draining) => self.control.crowd.any_place(),
                        // Told again, so that it is heard above.
                        Ok(()) = closing.changed() => {
                            closing.mark_changed();
                            self.control.crowd.any_place()
                        }
                    };
                    self = self.up_to_date();
                    self.seat(place, stream, peer, tls.load(Relaxed));
                }
                Err(error) if is_one_connections(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "accepting failed");
                    sleep(BACK_OFF).await;
                }
            }
        }
        if let Some(file) = file {
            // Nobody comes any more once those who are in the backlog have been accepted.
            file.remove();
        }
        if let Ok(incoming) = listener.into_incoming() {
            self.up_to_date().empty_backlog(&incoming, tls.load(Relaxed));
        }
    }

    /// This worker with the settings that are in force: what a connection begins with, it goes on with.
    fn up_to_date(self: Arc<Self>) -> Arc<Self> {
        let settings = self.control.settings.load();
        if Arc::ptr_eq(&settings, &self.settings) {
            return self;
        }
        let (proxy, control, register) = (self.proxy.clone(), self.control.clone(), self.register.clone());
        Arc::new(Worker { index: self.index, proxy, settings: settings.clone(), control, register })
    }

    /// Those in the backlog believe that they are connected; closing the listener would reset them. The runtime knows
    /// of them only when it looks again, so the kernel is asked.
    fn empty_backlog(self: &Arc<Self>, incoming: &Incoming, tls: bool) {
        loop {
            match incoming.accept() {
                Ok((stream, peer)) => {
                    let seat = self.control.spread.seat(self.index);
                    self.serve((self.control.crowd.any_place(), seat), stream, peer, tls);
                }
                Err(error) if is_one_connections(&error) => {}
                // The backlog is empty, or there is no file left for what is in it.
                Err(_) => return,
            }
        }
    }

    /// Serves a connection, or hands it over to a worker that has fewer.
    fn seat(self: &Arc<Self>, place: Place, stream: Stream, peer: IpAddr, tls: bool) {
        let seat = self.control.spread.choose(self.index);
        if seat.worker() == self.index {
            return self.serve((place, seat), stream, peer, tls);
        }
        match stream.into_unwatched() {
            Ok(stream) => self.control.spread.hand_over(Handed { place, seat, stream, peer, tls }),
            Err(error) => tracing::error!(%error, "a connection can't be handed over"),
        }
    }

    /// Serves a connection that another worker has handed over.
    fn take(self: Arc<Self>, handed: Handed) {
        let Handed { place, seat, stream, peer, tls } = handed;
        match stream.into_stream() {
            Ok(stream) => self.serve((place, seat), stream, peer, tls),
            Err(error) => tracing::error!(%error, "a connection can't be registered"),
        }
    }

    fn serve(self: &Arc<Self>, place: (Place, Seat), stream: Stream, peer: IpAddr, tls: bool) {
        let client = Client::new(peer, &self.settings.trusted_proxies);
        let (socket, client) = match &self.settings.tls {
            _ if !tls => (Socket::new(stream), client),
            None => {
                tracing::warn!("a client of a listener that has gone was too late: there is no certificate any more");
                return;
            }
            Some(tls) => match ServerConnection::new(tls.config()) {
                Ok(session) => (Socket::secured(stream, session), client.secured()),
                Err(error) => {
                    tracing::error!(%error, "a client cannot be served by TLS");
                    return;
                }
            },
        };
        let client = Arc::new(client);
        let signals = Arc::<Signals>::default();
        let registered = self.register.enter(&self.control, place, signals.clone());
        tokio::spawn(Connection::new(self.clone(), socket, client, signals, registered).run());
    }
}

/// An error of the connection that was to be accepted, not of the listener.
fn is_one_connections(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Counts a listener until it has closed.
struct Listening {
    control: Arc<Control>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.control.listeners.fetch_sub(1, Relaxed);
        self.control.ended.notify_one();
    }
}
