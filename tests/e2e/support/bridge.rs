//! Clients and upstreams of the harness speak TCP; this puts them behind whatever else carries bytes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// A bridge that carries until it is dropped; connections that it has made go on to their end.
pub struct Bridge(JoinHandle<()>);

impl Bridge {
    /// From a socket's file, which it makes, to a port.
    pub fn from_unix(path: &Path, to: SocketAddr) -> Self {
        let listener = UnixListener::bind(path).expect("the path is free");
        Bridge(tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let mut to = TcpStream::connect(to).await.expect("somebody listens");
                tokio::spawn(async move { drop(copy_bidirectional(&mut from, &mut to).await) });
            }
        }))
    }

    /// From a port of its own to a socket's file.
    pub async fn to_unix(path: &Path) -> (SocketAddr, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let path = path.to_owned();
        let bridge = Bridge(tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let mut to = UnixStream::connect(&path).await.expect("somebody listens");
                tokio::spawn(async move { drop(copy_bidirectional(&mut from, &mut to).await) });
            }
        }));
        (address, bridge)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A directory of its own, gone afterwards.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Paths of sockets must be short.
        let name = format!("sluicegate-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("there is a directory for such things");
        Directory(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The path of a file as text.
    pub fn path(&self, name: &str) -> String {
        self.file(name).to_str().expect("a path in UTF-8").to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
