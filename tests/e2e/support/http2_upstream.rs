//! An upstream that speaks HTTP/2 in the clear, answers when told, and knows how many requests it works on.
//!
//! A request is *inside* as with [`Upstream`](super::Upstream), from its head until its answer is completely handed
//! over or its call is dropped. A reset of its stream does not end it: the call hears of it if it asks.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

use super::message::Body;
use super::upstream::{Seat, Tally};
use super::{Scripted, ScriptedCall, soon};

pub struct Http2Upstream {
    pub address: SocketAddr,
    tally: Arc<Tally>,
    calls: mpsc::UnboundedReceiver<StreamCall>,
    orders: broadcast::Sender<Order>,
    accepting: JoinHandle<()>,
}

/// What all connections are told to do.
#[derive(Clone, Copy)]
enum Order {
    GoAway,
    Close,
}

type Work = Arc<dyn Fn(StreamCall) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

impl Http2Upstream {
    /// Answers when told: see [`Http2Upstream::next`].
    pub async fn start() -> Self {
        Self::with(&Builder::new()).await
    }

    /// The same, with so many streams at most on each connection.
    pub async fn with_max_streams(max: u32) -> Self {
        Self::with(Builder::new().max_concurrent_streams(max)).await
    }

    /// The same, with settings of its own.
    pub async fn with(settings: &Builder) -> Self {
        let (told, calls) = mpsc::unbounded_channel();
        let work = move |call| {
            // A test that is over does not mind.
            let _ = told.send(call);
            std::future::ready(())
        };
        let mut this = Self::serve(settings, work).await;
        this.calls = calls;
        this
    }

    /// Does the same with each request, in a task of its own.
    pub async fn that<F>(work: impl Fn(StreamCall) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::serve(&Builder::new(), work).await
    }

    async fn serve<F>(settings: &Builder, work: impl Fn(StreamCall) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (tally, orders, settings) = (Arc::new(Tally::default()), broadcast::Sender::new(8), settings.clone());
        let work: Work = Arc::new(move |call| Box::pin(work(call)));
        let (tally_of_all, orders_to_all) = (tally.clone(), orders.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tally_of_all.connections.fetch_add(1, Ordering::Relaxed);
                let _ = stream.set_nodelay(true);
                let (tally, work, settings) = (tally_of_all.clone(), work.clone(), settings.clone());
                tokio::spawn(serve_connection(stream, settings, tally, work, orders_to_all.subscribe()));
            }
        });
        Http2Upstream { address, tally, calls: mpsc::unbounded_channel().1, orders, accepting }
    }

    /// The next request. Cancelling it loses nothing.
    pub async fn next(&mut self) -> StreamCall {
        self.calls.recv().await.expect("the upstream answers when told")
    }

    pub fn url(&self) -> String {
        format!("h2c://{}", self.address)
    }

    /// Sends GOAWAY on every connection: what runs may end, and nothing new may come.
    pub fn go_away(&self) {
        let _ = self.orders.send(Order::GoAway);
    }

    /// Closes every connection with all its streams.
    pub fn close_connections(&self) {
        let _ = self.orders.send(Order::Close);
    }

    /// Requests worked on at this moment.
    pub fn inside(&self) -> usize {
        *self.tally.inside.borrow()
    }

    /// The most that were ever worked on at once.
    pub fn peak(&self) -> usize {
        self.tally.peak.load(Ordering::Relaxed)
    }

    /// Requests that ever arrived.
    pub fn total(&self) -> usize {
        self.tally.total.load(Ordering::Relaxed)
    }

    /// Connections that were ever made.
    pub fn connections(&self) -> usize {
        self.tally.connections.load(Ordering::Relaxed)
    }

    /// Connections that are open.
    pub fn open_connections(&self) -> usize {
        self.orders.receiver_count()
    }

    pub async fn until_inside(&self, n: usize) {
        self.tally.until_inside(n).await;
    }
}

impl Drop for Http2Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Scripted for Http2Upstream {
    type Call = StreamCall;

    async fn next(&mut self) -> StreamCall {
        Http2Upstream::next(self).await
    }
}

async fn serve_connection(
    stream: TcpStream,
    settings: Builder,
    tally: Arc<Tally>,
    work: Work,
    mut orders: broadcast::Receiver<Order>,
) {
    let Ok(mut connection) = settings.handshake(stream).await else { return };
    loop {
        tokio::select! {
            stream = connection.accept() => {
                let Some(Ok((request, answer))) = stream else { return };
                let (head, body) = request.into_parts();
                let head = Request::from_parts(head, ());
                let call = StreamCall { head, body, answer, sending: None, seat: Seat::take(&tally) };
                tokio::spawn(work(call));
            }
            order = orders.recv() => match order {
                Ok(Order::GoAway) => connection.graceful_shutdown(),
                Ok(Order::Close) | Err(_) => return,
            },
        }
    }
}

/// A request inside the upstream, until it is answered, reset or dropped.
pub struct StreamCall {
    pub head: Request<()>,
    body: RecvStream,
    answer: SendResponse<Bytes>,
    sending: Option<SendStream<Bytes>>,
    #[expect(dead_code, reason = "it counts while it is there")]
    seat: Seat,
}

impl ScriptedCall for StreamCall {
    fn path(&self) -> &str {
        StreamCall::path(self)
    }

    async fn respond(self, status: u16, body: &str) {
        StreamCall::respond(self, status, body.as_bytes().to_vec()).await;
    }
}

impl StreamCall {
    pub fn method(&self) -> &str {
        self.head.method().as_str()
    }

    pub fn path(&self) -> &str {
        self.head.uri().path_and_query().map_or("", |path| path.as_str())
    }

    /// All values of a field, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.head.headers().get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).collect()
    }

    /// The next piece of the body, none at its end; an error if it is cut.
    pub async fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.body.data().await {
            Some(Ok(data)) => {
                let _ = self.body.flow_control().release_capacity(data.len());
                Ok(Some(data.to_vec()))
            }
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Ok(None),
        }
    }

    /// The rest of the body; an error if it is cut.
    pub async fn body(&mut self) -> io::Result<Body> {
        let mut whole = Body::default();
        while let Some(piece) = soon("the rest of a request body", self.piece()).await? {
            whole.bytes.extend_from_slice(&piece);
        }
        let trailers = soon("the trailers", self.body.trailers()).await.map_err(io::Error::other)?.unwrap_or_default();
        whole.trailers = trailers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
        Ok(whole)
    }

    /// Why the peer has reset the stream, once it has; none if the connection is gone.
    pub async fn until_reset(&mut self) -> Option<Reason> {
        let reset = poll_fn(|cx| match &mut self.sending {
            Some(sending) => sending.poll_reset(cx),
            None => self.answer.poll_reset(cx),
        });
        soon("the stream to be reset", reset).await.ok()
    }

    /// Whether the peer has not reset the stream for a moment.
    pub async fn is_not_reset(&mut self) -> bool {
        let reset = poll_fn(|cx| match &mut self.sending {
            Some(sending) => sending.poll_reset(cx),
            None => self.answer.poll_reset(cx),
        });
        super::nothing_comes(reset).await
    }

    pub async fn respond(self, status: u16, body: impl Into<Vec<u8>>) {
        self.respond_with(status, &[], body).await;
    }

    /// Answers with a content length. A stream that has been reset takes nothing.
    pub async fn respond_with(mut self, status: u16, fields: &[(&str, &str)], body: impl Into<Vec<u8>>) {
        let body = body.into();
        let length = body.len().to_string();
        let fields = [fields, &[("content-length", &length)]].concat();
        if !body.is_empty() && self.start(status, &fields, false).is_ok() {
            let _ = self.send(body, true).await;
        } else {
            let _ = self.start(status, &fields, true);
        }
    }

    /// Answers with these fields and no body.
    pub fn respond_bare(mut self, status: u16, fields: &[(&str, &str)]) {
        let _ = self.start(status, fields, true);
    }

    /// Sends a 1xx.
    pub fn inform(&mut self, status: u16) {
        let status = StatusCode::from_u16(status).expect("a status");
        let response = Response::builder().status(status).body(()).expect("a head");
        self.answer.send_informational(response).expect("the stream takes it");
    }

    /// Sends a head; the body follows.
    pub fn start_streaming(&mut self, fields: &[(&str, &str)]) {
        self.start(200, fields, false).expect("the stream takes a head");
    }

    /// Sends a head with any fields, and nothing behind it if that is its end.
    pub fn start_fields(&mut self, status: u16, fields: HeaderMap, end: bool) {
        self.start_map(status, fields, end).expect("the stream takes a head");
    }

    /// Sends a head with this status; its stream goes on.
    pub fn start_with(&mut self, status: u16, fields: &[(&str, &str)]) {
        self.start(status, fields, false).expect("the stream takes a head");
    }

    /// Sends a piece of the body, as the peer grants room for it.
    pub async fn chunk(&mut self, data: impl Into<Vec<u8>>) -> io::Result<()> {
        self.send(data.into(), false).await
    }

    /// Ends the answer.
    pub fn finish(mut self) {
        let _ = self.sending.as_mut().expect("it was begun").send_data(Bytes::new(), true);
    }

    /// Ends the answer, and keeps the stream with its body unread.
    pub fn end_and_keep(mut self) -> (SendStream<Bytes>, RecvStream) {
        let mut sending = self.sending.take().expect("it was begun");
        sending.send_data(Bytes::new(), true).expect("the stream takes it");
        (sending, self.body)
    }

    /// Ends the answer with trailers.
    pub fn finish_with(mut self, trailers: &[(&str, &str)]) {
        let _ = self.sending.as_mut().expect("it was begun").send_trailers(map_of(trailers));
    }

    /// Ends the stream.
    pub fn reset(mut self, reason: Reason) {
        match &mut self.sending {
            Some(sending) => sending.send_reset(reason),
            None => self.answer.send_reset(reason),
        }
    }

    /// Ends the answer with these trailers, or without any.
    pub fn finish_fields(self, trailers: HeaderMap) {
        if trailers.is_empty() {
            return self.finish();
        }
        let mut this = self;
        let _ = this.sending.as_mut().expect("it was begun").send_trailers(trailers);
    }

    fn start(&mut self, status: u16, fields: &[(&str, &str)], end: bool) -> Result<(), h2::Error> {
        self.start_map(status, map_of(fields), end)
    }

    fn start_map(&mut self, status: u16, fields: HeaderMap, end: bool) -> Result<(), h2::Error> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        *response.headers_mut() = fields;
        self.sending = Some(self.answer.send_response(response, end)?);
        Ok(())
    }

    async fn send(&mut self, data: Vec<u8>, end: bool) -> io::Result<()> {
        let (sending, mut data) = (self.sending.as_mut().expect("it was begun"), Bytes::from(data));
        while !data.is_empty() {
            sending.reserve_capacity(data.len());
            let granted = poll_fn(|cx| sending.poll_capacity(cx)).await;
            let granted = granted.ok_or(io::ErrorKind::BrokenPipe)?.map_err(io::Error::other)?;
            let piece = data.split_to(granted.min(data.len()));
            sending.send_data(piece, end && data.is_empty()).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

fn map_of(fields: &[(&str, &str)]) -> HeaderMap {
    let pairs = fields.iter().map(|(name, value)| {
        let name: http::HeaderName = name.parse().expect("a name");
        (name, value.parse::<http::HeaderValue>().expect("a value"))
    });
    let mut map = HeaderMap::new();
    pairs.for_each(|(name, value)| {
        map.append(name, value);
    });
    map
}
