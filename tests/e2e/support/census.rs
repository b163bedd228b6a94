//! Upstreams that know how many connections there are to all of them together, each time that one more is made.
//!
//! A connection counts from when the kernel hands it over until the peer has closed it, and that is asked of the kernel at
//! the very moment, under one lock: no task and no table lags behind it. One whose request is being worked on counts even
//! where the peer has closed its side, since the other side is open. They answer `GET`s, from threads of their own.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

pub struct Census {
    pub addresses: Vec<SocketAddr>,
    books: Arc<Books>,
}

/// What they do with each request.
#[derive(Clone, Copy)]
pub struct Manners {
    /// They answer after a random time, at most so long.
    pub work: Duration,
    /// They close after one in so many answers, by chance.
    pub closes: Option<u32>,
}

struct Books {
    live: Mutex<Live>,
    /// How many requests each has answered.
    answers: Vec<AtomicUsize>,
    ended: AtomicBool,
    manners: Manners,
}

#[derive(Default)]
struct Live {
    connections: Vec<Arc<Connection>>,
    made: usize,
    most: usize,
}

struct Connection {
    stream: TcpStream,
    working: AtomicBool,
    /// Nothing that comes is worked on any more.
    done: AtomicBool,
}

impl Census {
    pub fn of(upstreams: usize, manners: Manners) -> Self {
        let answers = (0..upstreams).map(|_| AtomicUsize::new(0)).collect();
        let books = Arc::new(Books { live: Mutex::default(), answers, ended: AtomicBool::new(false), manners });
        let start = |index| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            let address = listener.local_addr().expect("a bound socket has an address");
            let books = books.clone();
            thread::spawn(move || accept(&listener, index, &books));
            address
        };
        Census { addresses: (0..upstreams).map(start).collect(), books }
    }

    pub fn urls(&self) -> Vec<String> {
        self.addresses.iter().map(|address| format!("http://{address}")).collect()
    }

    /// The most connections that there ever were at once.
    pub fn most(&self) -> usize {
        self.books.live().most
    }

    /// Connections that were ever made.
    pub fn made(&self) -> usize {
        self.books.live().made
    }

    /// How many requests each has answered.
    pub fn answers(&self) -> Vec<usize> {
        self.books.answers.iter().map(|answers| answers.load(Ordering::Relaxed)).collect()
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.books.ended.store(true, Ordering::Relaxed);
        for address in &self.addresses {
            // To wake it.
            let _ = TcpStream::connect(address);
        }
    }
}

impl Books {
    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().expect("no thread panics while it holds this")
    }
}

fn accept(listener: &TcpListener, index: usize, books: &Arc<Books>) {
    while let Ok((stream, _)) = listener.accept() {
        if books.ended.load(Ordering::Relaxed) {
            return;
        }
        let connection = Arc::new(Connection { stream, working: AtomicBool::new(false), done: AtomicBool::new(false) });
        let mut live = books.live();
        live.connections.retain(|other| !other.is_closed());
        live.connections.push(connection.clone());
        live.made += 1;
        live.most = live.most.max(live.connections.len());
        drop(live);
        let books = books.clone();
        thread::spawn(move || {
            let _ = serve(&connection, index, &books);
            connection.working.store(false, Ordering::Relaxed);
        });
    }
}

/// One request after the other, until the peer has closed. What it sends after a close is read away.
fn serve(connection: &Connection, index: usize, books: &Books) -> io::Result<()> {
    let mut stream = &connection.stream;
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    while stream.peek(&mut [0])? > 0 {
        // Before anything is taken of it: whoever asks the kernel finds it either there or worked on.
        connection.working.store(true, Ordering::Relaxed);
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                n => head.extend_from_slice(&piece[..n]),
            }
        }
        thread::sleep(books.manners.work.mul_f64(fastrand::f64()));
        books.answers[index].fetch_add(1, Ordering::Relaxed);
        // Under the lock: with the answer, the peer may close this one and make another at once.
        let live = books.live();
        connection.working.store(false, Ordering::Relaxed);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        drop(live);
        if books.manners.closes.is_some_and(|closes| fastrand::u32(..closes) == 0) {
            connection.done.store(true, Ordering::Relaxed);
            stream.shutdown(Shutdown::Write)?;
            while stream.read(&mut piece)? > 0 {}
        }
    }
    Ok(())
}

impl Connection {
    /// Whether the kernel has the peer's FIN or a reset, with nothing before it that is still to be worked on.
    fn is_closed(&self) -> bool {
        if self.working.load(Ordering::Relaxed) {
            return false;
        }
        let flags = if self.done.load(Ordering::Relaxed) { AT_ONCE } else { AT_ONCE | PEEK };
        let mut piece = [MaybeUninit::uninit(); 4096];
        loop {
            match SockRef::from(&self.stream).recv_with_flags(&mut piece, flags) {
                Ok(0) => return true,
                // A request that came too late; what is behind it counts.
                Ok(_) if flags == AT_ONCE => {}
                Ok(_) => return false,
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }
}

/// `MSG_PEEK` and `MSG_DONTWAIT` of Linux.
const PEEK: i32 = 0x2;
const AT_ONCE: i32 = 0x40;
