use std::future::poll_fn;
use std::net::Shutdown;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::*;
use crate::socket::Socket;

/// A client and a server that have agreed, on a pair of Unix sockets.
async fn pair() -> (Socket, Socket) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    agreed(ours, theirs).await
}

/// The same over TCP, where a peer can reset.
async fn pair_over_tcp() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    agreed(ours.unwrap(), theirs.unwrap().0).await
}

async fn agreed(ours: impl Into<Stream>, theirs: impl Into<Stream>) -> (Socket, Socket) {
    let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let client = ClientConnection::new(Arc::new(client), ServerName::try_from("a").unwrap()).unwrap();
    let client = Socket::secured(ours, client);
    let server = Socket::secured(theirs, ServerConnection::new(Arc::new(server)).unwrap());
    let (one, other) = tokio::join!(client.handshake(&[]), server.handshake(&[]));
    one.and(other).unwrap();
    (client, server)
}

async fn write(socket: &Socket, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = poll_fn(|cx| socket.poll_write(cx, &[IoSlice::new(rest)])).await.unwrap();
        rest = &rest[n..];
    }
    poll_fn(|cx| socket.poll_flush(cx)).await.unwrap();
}

async fn read(socket: &Socket) -> io::Result<Vec<u8>> {
    let mut room = [0; 1024];
    let mut buf = ReadBuf::new(&mut room);
    poll_fn(|cx| socket.poll_read(cx, &mut buf)).await?;
    Ok(buf.filled().to_vec())
}

#[tokio::test]
async fn an_end_counts_as_one_only_if_the_peer_has_declared_it() {
    for declared in [true, false] {
        let (client, server) = pair().await;
        write(&server, b"all of it").await;
        if declared {
            server.close_for_writing();
        } else {
            SockRef::from(&server.0.stream).shutdown(Shutdown::Write).unwrap();
        }
        assert_eq!(read(&client).await.unwrap(), b"all of it");
        match read(&client).await {
            Ok(rest) => assert!(declared && rest.is_empty()),
            Err(error) => assert!(!declared && error.kind() == io::ErrorKind::UnexpectedEof, "{error}"),
        }
    }
}

#[tokio::test]
async fn an_early_answer_is_read_although_the_peer_takes_no_more_of_the_upload() {
    let (client, server) = pair_over_tcp().await;
    // Until a record is on its way that the kernel does not take.
    let mut cx = Context::from_waker(std::task::Waker::noop());
    while client.poll_write(&mut cx, &[IoSlice::new(&[0; RECORD])]).is_ready() {}
    write(&server, b"no more, please").await;
    // With an upload that it has not read: that is a reset, behind the answer.
    drop(server);
    client.clone().hung_up().await;
    assert_eq!(read(&client).await.unwrap(), b"no more, please");
    // Whoever writes hears of it.
    assert!(poll_fn(|cx| client.poll_flush(cx)).await.is_err());
}

#[tokio::test]
async fn a_half_closed_session_reads_on() {
    let (client, server) = pair().await;
    client.close_for_writing();
    assert_eq!(read(&server).await.unwrap(), b"");
    write(&server, b"still").await;
    assert_eq!(read(&client).await.unwrap(), b"still");
}

#[tokio::test]
async fn new_keys_are_answered_and_what_follows_them_is_read() {
    let (client, server) = pair().await;
    server.0.tls.as_ref().unwrap().lock().connection.refresh_traffic_keys().unwrap();
    write(&server, b"with new keys").await;
    assert_eq!(read(&client).await.unwrap(), b"with new keys");
    write(&client, b"and back").await;
    assert_eq!(read(&server).await.unwrap(), b"and back");
}
