//! Where the binary's access log goes that it writes to its standard output.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::sluicegate::{of_us, write_config};
use super::{Setup, Sluicegate, Upstream};

/// What is on the other end of the standard output.
#[derive(Debug)]
pub enum Stdout {
    /// A terminal, whose screen is written to this file.
    Terminal(Screen),
    /// A pipe that nobody reads.
    Unread,
}

/// What a terminal has shown. The file is removed in the end.
#[derive(Debug)]
pub struct Screen(PathBuf);

impl Screen {
    /// One of this name, for this run of the tests.
    pub fn new(name: &str) -> Self {
        Screen(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.screen", std::process::id())))
    }

    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Setup {
    /// Started with this for its standard output, and with an admin listener.
    pub async fn writing_to(&self, stdout: &Stdout, upstream: &Upstream) -> Sluicegate {
        let file = write_config(&self.text(&upstream.url()));
        let path = file.to_str().expect("a path in UTF-8");
        let mut gate = Sluicegate::listening(becoming(stdout), &["-c", path, "--admin", "127.0.0.1:0"]).await;
        gate.config = Some(file);
        gate
    }
}

/// A program that becomes the binary, once it has replaced its standard output.
fn becoming(stdout: &Stdout) -> Command {
    const TERMINAL: &str = "if True:
        import os, pty, sys
        shown, terminal = pty.openpty()
        if os.fork() == 0:
            os.close(terminal)
            os.closerange(0, 3)
            with open(sys.argv[1], 'wb', 0) as screen:
                try:
                    while data := os.read(shown, 65536):
                        screen.write(data)
                except OSError:
                    pass
            os._exit(0)
        os.close(shown)
        os.dup2(terminal, 1)
        os.execv(sys.argv[2], sys.argv[2:])";
    const UNREAD: &str = "if True:
        import os, sys
        unread, pipe = os.pipe()
        os.set_inheritable(unread, True)
        os.dup2(pipe, 1)
        os.execv(sys.argv[2], sys.argv[2:])";
    let (script, file) = match stdout {
        Stdout::Terminal(Screen(file)) => (TERMINAL, file.as_path()),
        Stdout::Unread => (UNREAD, Path::new("")),
    };
    let mut command = of_us(Command::new("/usr/bin/python3"));
    command.args(["-c", script]).arg(file).arg(env!("CARGO_BIN_EXE_sluicegate"));
    command
}
