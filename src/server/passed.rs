//! Listening sockets that whoever started us has opened, as systemd does (`sd_listen_fds(3)`).

use std::io;

use listenfd::ListenFd;

use super::listener::Incoming;

/// The sockets that were passed on, each to be taken once.
pub(super) struct Passed {
    sockets: ListenFd,
    names: Vec<String>,
}

/// What a socket without a name is called.
const NO_NAME: &str = "unknown";

impl Passed {
    /// Takes them out of the environment, where no child of ours finds them any more.
    pub(super) fn from_env() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        // It looks whether they are meant for this process.
        let sockets = ListenFd::from_env();
        let mut names: Vec<String> = names.split(':').map(str::to_owned).collect();
        names.resize(sockets.len(), String::new());
        names.iter_mut().filter(|name| name.is_empty()).for_each(|name| NO_NAME.clone_into(name));
        Passed { sockets, names }
    }

    /// All sockets of a name: systemd gives one name to all sockets of a unit.
    ///
    /// # Errors
    /// When there is none, or it is no stream socket that listens.
    pub(super) fn take(&mut self, name: &str) -> io::Result<Vec<Incoming>> {
        let named: Vec<usize> = (0..self.names.len()).filter(|index| self.names[*index] == name).collect();
        let mut taken = Vec::new();
        for index in named {
            let socket = match self.sockets.take_unix_listener(index) {
                Ok(socket) => socket.map(Incoming::Unix),
                Err(_) => self.sockets.take_tcp_listener(index)?.map(Incoming::Tcp),
            };
            taken.extend(socket);
        }
        if taken.is_empty() { Err(io::Error::new(io::ErrorKind::NotFound, self.why_none())) } else { Ok(taken) }
    }

    fn why_none(&self) -> String {
        if self.names.is_empty() {
            return "no sockets were passed to this process (LISTEN_FDS, LISTEN_PID)".to_owned();
        }
        format!("no further socket of this name was passed; the names are {}", self.names.join(", "))
    }
}
