//! A thread that looks after files: they may be on a disk that takes its time, for which no worker has any.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use arc_swap::ArcSwap;

use super::drain::{Control, Stage};
use crate::files::PERIOD;
use crate::proxy::Shared;

/// Has the files looked at before it is their time.
#[derive(Debug, Clone)]
pub(super) struct Files(SyncSender<()>);

impl Files {
    /// Starts the thread. It ends within a period of the server's end.
    pub(super) fn watch(in_force: Arc<ArcSwap<Shared>>, control: Arc<Control>) -> io::Result<Self> {
        let (sender, asked) = sync_channel(1);
        thread::Builder::new().name("files".to_owned()).spawn(move || watch(&asked, &in_force, &control))?;
        Ok(Files(sender))
    }

    /// Has them looked at now.
    pub(super) fn check(&self) {
        // If it has been asked already, it will.
        let _ = self.0.try_send(());
    }
}

fn watch(asked: &Receiver<()>, in_force: &ArcSwap<Shared>, control: &Control) {
    while asked.recv_timeout(PERIOD) != Err(RecvTimeoutError::Disconnected) && control.stage() != Stage::Stopped {
        if let Some(tls) = &control.settings.load().tls {
            tls.check();
        }
        in_force.load().check_files();
    }
}
