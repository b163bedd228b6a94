//! The socket of the admin listener, and its connections.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use super::board::{Board, FOLLOWERS_MAX};
use super::context::{Connection, Context};
use super::router::router;
use super::settings::{Settings, Token};
use crate::server::Handle;

/// An address that is listened on, before anybody is served.
#[derive(Debug)]
pub struct Listener {
    listener: std::net::TcpListener,
    address: SocketAddr,
    token: Option<Token>,
    dashboard: bool,
}

/// Why there is no admin listener.
#[derive(Debug, thiserror::Error)]
#[error("the admin listener cannot listen on {address}")]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// An admin listener that serves. It does so until it is closed, or dropped.
#[derive(Debug)]
pub struct Running {
    closing: watch::Sender<bool>,
    connections: Arc<Semaphore>,
    tasks: [AbortHandle; 3],
}

/// How many are served at once; further ones wait in the kernel. Followers of the events don't use up what the others need.
const MAX_CONNECTIONS: u32 = 256 + FOLLOWERS_MAX as u32;
/// From the end of an answer to the end of the next request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// When accepting fails for want of files or memory, waiting is all that can be done.
const BACK_OFF: Duration = Duration::from_millis(100);
/// What answers under way get to be sent when all is over.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Listener {
    /// Listens where the settings say; `None` where they say nowhere.
    ///
    /// # Errors
    /// When the address is taken, or none of this machine's.
    pub fn bind(settings: &Settings) -> Result<Option<Self>, BindError> {
        let Some(address) = settings.listen else { return Ok(None) };
        let bind = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Listener { listener, address, token: settings.token.clone(), dashboard: settings.dashboard })
        };
        bind().map(Some).map_err(|source| BindError { address, source })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves on the current runtime, which must be none of the workers'.
    ///
    /// # Errors
    /// When the socket can't be registered with the runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve(self, server: Handle) -> io::Result<Running> {
        let listener = TcpListener::from_std(self.listener)?;
        let (board, teller) = Board::new();
        let sampling = tokio::spawn(board.clone().run(server.clone(), teller));
        let context = Context::new(server, self.token, board);
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
        let closing = watch::Sender::new(false);
        let expiry = tokio::spawn(context.overrides.clone().expire());
        let accepting =
            tokio::spawn(accept(listener, router(context, self.dashboard), connections.clone(), closing.subscribe()));
        Ok(Running { closing, connections, tasks: [expiry, accepting, sampling].map(|task| task.abort_handle()) })
    }
}

impl Running {
    /// Accepts no more, and lets the answers under way be sent.
    pub async fn close(self) {
        self.closing.send_replace(true);
        self.tasks.iter().for_each(AbortHandle::abort);
        let _ = timeout(LAST_WORDS, self.connections.acquire_many(MAX_CONNECTIONS)).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn accept(listener: TcpListener, router: Router, connections: Arc<Semaphore>, closing: watch::Receiver<bool>) {
    loop {
        let permit = connections.clone().acquire_owned().await.expect("nobody closes the semaphore");
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (router, closing) = (router.clone(), closing.clone());
                tokio::spawn(async move {
                    serve(stream, peer, router, closing).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accepting an admin connection failed");
                sleep(BACK_OFF).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, mut closing: watch::Receiver<bool>) {
    let Ok(local) = stream.local_addr() else { return };
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Connection { peer, local });
        router.clone().call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // What the channel lends out must not live on in the other branch.
    let closed = async { drop(closing.wait_for(|closing| *closing).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closed => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "an admin connection failed");
    }
}
