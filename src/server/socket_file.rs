//! A listening socket that has a name in the file system.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The file of a socket that listens. It is removed with this, unless somebody else has put his own in its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
    removed: AtomicBool,
}

impl SocketFile {
    /// Listens at `path`, with `mode` as the file's permissions: who may write to it may connect.
    ///
    /// A socket that nobody listens on is what a process leaves behind that was killed, and is replaced. The new one
    /// appears in one step, with its permissions.
    ///
    /// # Errors
    /// When somebody listens there, or the file is no socket, or the directory can't be written.
    pub(crate) fn listen(path: &Path, mode: u32) -> io::Result<(UnixListener, Self)> {
        Self::can_listen(path)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let listener = UnixListener::bind(&beside)?;
        let appear = || -> io::Result<_> {
            fs::set_permissions(&beside, fs::Permissions::from_mode(mode))?;
            let file = fs::symlink_metadata(&beside)?;
            fs::rename(&beside, path)?;
            Ok((file.dev(), file.ino()))
        };
        let inode = appear().inspect_err(|_| drop(fs::remove_file(&beside)))?;
        Ok((listener, SocketFile { path: path.to_owned(), inode, removed: AtomicBool::new(false) }))
    }

    /// Whether nobody listens at `path`, and no other file would be lost there.
    ///
    /// # Errors
    /// What is in the way.
    pub(crate) fn can_listen(path: &Path) -> io::Result<()> {
        match fs::symlink_metadata(path) {
            Ok(file) if !file.file_type().is_socket() => {
                Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there"))
            }
            Ok(_) if !is_left_behind(path) => Err(io::ErrorKind::AddrInUse.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Takes the name away, so that nobody connects any more. Who has connected stays so.
    pub(crate) fn remove(&self) {
        let is_ours = || fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.inode);
        if !self.removed.swap(true, Relaxed) && is_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Only a refusal says so: who may not connect, or finds a backlog that is full, has found somebody.
fn is_left_behind(path: &Path) -> bool {
    UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own, gone afterwards.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("sluicegate-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_socket_that_was_left_behind_is_replaced_and_a_live_one_is_not() {
        let directory = Directory::new("left-behind");
        let path = directory.0.join("socket");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (_listener, file) = SocketFile::listen(&path, 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SocketFile::listen(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();
        drop(file);
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let directory = Directory::new("no-socket");
        let path = directory.0.join("socket");
        fs::write(&path, "precious").unwrap();
        assert_eq!(SocketFile::listen(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_socket_that_others_have_put_in_its_place_stays() {
        let directory = Directory::new("another");
        let path = directory.0.join("socket");
        let (_listener, file) = SocketFile::listen(&path, 0o600).unwrap();
        fs::remove_file(&path).unwrap();
        let _another = UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists());
    }
}
