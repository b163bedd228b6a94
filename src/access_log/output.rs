//! Where lines go.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Access, AtFlags, CWD, OFlags, accessat};
use rustix::io::Errno;

use super::settings::{AccessLog, LogFormat};

/// Where lines go, and how they look.
pub struct Output {
    out: Box<dyn Out>,
    /// For people.
    pub(super) text: bool,
    /// The last thing that went out was the beginning of a line.
    torn: bool,
}

/// What takes bytes.
pub(super) trait Out: Send {
    /// Gives it some of them. Returns how many it has taken.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Blocks until it takes more, where it would have had to.
    fn wait(&mut self) -> io::Result<()>;
}

/// The log's file can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the access log {}", path.display())]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

impl Output {
    /// Opens the log; a file is appended to, and made if it is not there. `None` if there is to be none. Waits for nobody: a
    /// named pipe must have its reader.
    ///
    /// # Errors
    /// When a file can't be opened for appending.
    pub fn open(settings: &AccessLog, format: LogFormat) -> Result<Option<Self>, OpenError> {
        let (out, terminal): (Box<dyn Out>, bool) = match settings {
            AccessLog::Off => return Ok(None),
            AccessLog::Stdout => (Box::new(io::stdout()), io::stdout().is_terminal()),
            AccessLog::File(path) => match append_to(path) {
                Ok(file) => (Box::new(file), false),
                Err(source) => return Err(OpenError { path: path.clone(), source }),
            },
        };
        let text = match format {
            LogFormat::Auto => terminal,
            LogFormat::Json => false,
            LogFormat::Text => true,
        };
        Ok(Some(Output::to(out, text)))
    }

    /// Whether [`open`](Output::open) would do, as far as that can be told without making a file, and without a named pipe's
    /// reader hearing of it.
    ///
    /// # Errors
    /// What opening it would fail with.
    pub fn can_open(settings: &AccessLog) -> Result<(), OpenError> {
        let AccessLog::File(path) = settings else { return Ok(()) };
        can_append_to(path).map_err(|source| OpenError { path: path.clone(), source })
    }

    pub(super) fn to(out: Box<dyn Out>, text: bool) -> Self {
        Output { out, text, torn: false }
    }

    /// Writes whole lines, and waits for room where there is none. Returns how many of them are not there, or not whole;
    /// what is there of those is on a line of its own.
    pub(super) fn write(&mut self, lines: &[u8]) -> u64 {
        let mut rest = lines;
        if !self.end_line() || self.put(&mut rest).is_err() {
            let taken = &lines[..lines.len() - rest.len()];
            self.torn |= taken.last().is_some_and(|byte| *byte != b'\n');
            return rest.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        0
    }

    /// Takes the place of another. The two may be one file, so what is torn there must not go on here.
    pub(super) fn follow(&mut self, mut before: Output) {
        self.torn = !before.end_line();
    }

    /// Whether what comes next begins a line.
    fn end_line(&mut self) -> bool {
        if self.torn {
            self.torn = self.put(&mut &b"\n"[..]).is_err();
        }
        !self.torn
    }

    /// Takes off `bytes` what has gone out, up to all of it.
    fn put(&mut self, bytes: &mut &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.out.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => *bytes = &bytes[taken..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever has the other end of our standard output may have made it non-blocking for both of us.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.out.wait()?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("text", &self.text).finish_non_exhaustive()
    }
}

/// Without a buffer: what has gone out is known to the byte.
impl<D: AsFd + Send> Out for D {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(self, bytes)?)
    }

    fn wait(&mut self) -> io::Result<()> {
        match poll(&mut [PollFd::new(self, PollFlags::OUT)], None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// So that nothing is waited for, which for a named pipe would be its reader. Files know no difference.
fn no_wait() -> i32 {
    (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()
}

fn append_to(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).custom_flags(no_wait()).open(path);
    opened.map_err(|error| {
        let is_pipe = || path.metadata().is_ok_and(|file| file.file_type().is_fifo());
        if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) && is_pipe() {
            return io::Error::other("it is a pipe that nobody reads; its reader has to be there first");
        }
        error
    })
}

/// The same without making what is not there: then its directory must take a new file.
fn can_append_to(path: &Path) -> io::Result<()> {
    let can = |path: &Path, access| Ok(accessat(CWD, path, access, AtFlags::EACCESS)?);
    match path.metadata() {
        // To open and close it would be the end of the log for a reader that waits for one.
        Ok(file) if file.file_type().is_fifo() => can(path, Access::WRITE_OK),
        Ok(_) => OpenOptions::new().append(true).custom_flags(no_wait()).open(path).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link to what is not there: the file is made there.
            let file = path.read_link().map_or_else(|_| path.to_owned(), |to| directory(path).join(to));
            can(directory(&file), Access::WRITE_OK | Access::EXEC_OK)
        }
        Err(error) => Err(error),
    }
}

fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => file,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::VecDeque;
    use std::io::Read;
    use std::process::Command;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use io::ErrorKind::{Interrupted, StorageFull, WouldBlock};

    use super::*;

    /// Takes so many bytes or fails, in this order, and then takes everything.
    pub(in crate::access_log) struct Script {
        steps: VecDeque<Result<usize, io::ErrorKind>>,
        taken: Sender<Vec<u8>>,
    }

    impl Out for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = self.steps.pop_front().unwrap_or(Ok(bytes.len()))?;
            let _ = self.taken.send(bytes[..taken].to_vec());
            Ok(taken)
        }

        fn wait(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(in crate::access_log) fn script(steps: &[Result<usize, io::ErrorKind>]) -> (Output, Receiver<Vec<u8>>) {
        let (taken, takes) = channel();
        (Output::to(Box::new(Script { steps: steps.iter().copied().collect(), taken }), false), takes)
    }

    /// What has been taken since the last time.
    pub(in crate::access_log) fn text(takes: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(takes.try_iter().flatten().collect()).unwrap()
    }

    #[test]
    fn a_line_that_is_torn_is_lost_with_those_behind_it_and_the_next_begins_anew() {
        let (mut output, takes) = script(&[Ok(6), Err(StorageFull), Err(StorageFull), Ok(1), Err(StorageFull)]);
        assert_eq!(output.write(b"one\ntwo\nthree\n"), 2, "the first is there");
        assert_eq!(output.write(b"four\n"), 1, "there is still no room");
        assert_eq!(output.write(b"five\n"), 1, "there is room for the end of a line");
        assert_eq!(output.write(b"six\nseven\n"), 0);
        assert_eq!(text(&takes), "one\ntw\nsix\nseven\n");
    }

    #[test]
    fn between_two_lines_nothing_is_torn() {
        let (mut output, takes) = script(&[Ok(4), Err(StorageFull)]);
        assert_eq!(output.write(b"one\ntwo\n"), 1);
        assert_eq!(output.write(b"three\n"), 0);
        assert_eq!(text(&takes), "one\nthree\n");
    }

    #[test]
    fn what_is_torn_ends_where_it_is_before_lines_go_elsewhere() {
        let (mut before, takes) = script(&[Ok(2), Err(StorageFull)]);
        assert_eq!(before.write(b"one\n"), 1);
        let (mut after, takes_after) = script(&[]);
        after.follow(before);
        assert_eq!(after.write(b"two\n"), 0);
        assert_eq!((text(&takes), text(&takes_after)), ("on\n".into(), "two\n".into()));

        let (mut before, _) = script(&[Ok(2), Err(StorageFull), Err(StorageFull)]);
        assert_eq!(before.write(b"one\n"), 1);
        let (mut after, takes_after) = script(&[]);
        after.follow(before);
        assert_eq!(after.write(b"two\n"), 0);
        assert_eq!(text(&takes_after), "\ntwo\n", "it may be the same file");
    }

    #[test]
    fn who_is_interrupted_or_has_to_wait_loses_nothing() {
        let (mut output, takes) = script(&[Err(Interrupted), Ok(2), Err(WouldBlock), Ok(1), Err(Interrupted)]);
        assert_eq!(output.write(b"one\ntwo\n"), 0);
        assert_eq!(text(&takes), "one\ntwo\n");
    }

    #[test]
    fn a_pipe_that_does_not_block_is_waited_for() {
        let (mut reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        let lines = line.repeat(1000);
        // More than any pipe holds, so that whoever does not wait has lost some of it before anybody reads.
        let sent = lines.clone();
        let thread = thread::spawn(move || Output::to(Box::new(writer), false).write(&sent));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(thread.join().unwrap(), 0);
        assert!(read == lines, "{} of {} bytes", read.len(), lines.len());
    }

    #[test]
    fn whether_a_log_can_be_opened_is_told_without_making_a_file() {
        let home = std::env::temp_dir().join(format!("sluicegate-can-open-{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        let can =
            |path: &Path| Output::can_open(&AccessLog::File(path.to_owned())).map_err(|error| error.source.kind());
        let (new, there, link) = (home.join("new"), home.join("there"), home.join("link"));
        std::fs::write(&there, "a line\n").unwrap();
        std::os::unix::fs::symlink("gone/new", &link).unwrap();
        assert_eq!(can(&new), Ok(()));
        assert!(!new.exists());
        assert_eq!(can(&there), Ok(()));
        assert_eq!(std::fs::read_to_string(&there).unwrap(), "a line\n");
        assert_eq!(can(&home.join("gone/new")), Err(io::ErrorKind::NotFound));
        assert_eq!(can(&link), Err(io::ErrorKind::NotFound));
        assert_eq!(can(&there.join("new")), Err(io::ErrorKind::NotADirectory));
        assert_eq!(can(&home), Err(io::ErrorKind::IsADirectory));
        std::fs::remove_dir_all(&home).unwrap();
    }

    #[test]
    fn a_named_pipe_is_a_log_once_it_has_a_reader() {
        let path = std::env::temp_dir().join(format!("sluicegate-log-{}.pipe", std::process::id()));
        let _ = std::fs::remove_file(&path);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let open = || Output::open(&AccessLog::File(path.clone()), LogFormat::Auto);
        assert!(Output::can_open(&AccessLog::File(path.clone())).is_ok(), "its reader may yet come");
        let error = open().unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("nobody reads"), "{error}: {source}");
        // For reading and writing, so that this does not wait either.
        let mut reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut output = open().unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(output.write(b"one\n"), 0);
        let mut line = [0; 4];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"one\n");
    }
}
