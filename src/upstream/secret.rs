//! Fields whose values are secrets, and come from files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::files::FromFiles;

/// A field whose value is in a file. It can be read again at any time, and no log shows it.
#[derive(Clone)]
pub struct SecretHeader {
    name: HeaderName,
    file: PathBuf,
    value: Arc<FromFiles<HeaderValue>>,
}

/// Why a file holds no value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It can't be read.
    #[error("cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// There is nothing in it: it may just be being written.
    #[error("is empty")]
    Empty,
    /// It holds what no field can carry, a second line for example.
    #[error("holds a character that the value of a header cannot have")]
    Character,
}

impl SecretHeader {
    /// Reads the file. A newline at its end is not part of the value.
    ///
    /// # Errors
    /// When the file can't be read, is empty, or holds more than one line.
    pub fn read(name: HeaderName, file: impl Into<PathBuf>) -> Result<Self, SecretError> {
        let file = file.into();
        let value = Arc::new(FromFiles::try_new(vec![file.clone()], || value_in(&file))?);
        Ok(SecretHeader { name, file, value })
    }

    /// The name of the field.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Its value, which its `Debug` does not show.
    pub fn value(&self) -> HeaderValue {
        HeaderValue::clone(&self.value.load())
    }

    /// Reads the file again if it has changed. What is wrong with it is logged and counted, and the value that was there
    /// stays. It blocks on the file system.
    pub fn check(&self) {
        self.value.check(|| value_in(&self.file));
    }
}

fn value_in(file: &Path) -> Result<HeaderValue, SecretError> {
    let bytes = std::fs::read(file).map_err(SecretError::Unreadable)?;
    // Editors end a file with a newline, which is not part of the secret.
    let line = bytes.strip_suffix(b"\n").map_or(&*bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
    if line.is_empty() {
        return Err(SecretError::Empty);
    }
    let mut value = HeaderValue::from_bytes(line).map_err(|_| SecretError::Character)?;
    value.set_sensitive(true);
    Ok(value)
}

/// One of the same file is the same, whatever is in it by now.
impl PartialEq for SecretHeader {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.file) == (&other.name, &other.file)
    }
}

impl Eq for SecretHeader {}

impl fmt::Debug for SecretHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretHeader").field("name", &self.name).field("file", &self.file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of its own, removed with it.
    struct File(PathBuf);

    impl File {
        fn new(name: &str) -> Self {
            File(std::env::temp_dir().join(format!("sluicegate-secret-{}-{name}", std::process::id())))
        }

        fn read(&self, bytes: &[u8]) -> Result<SecretHeader, SecretError> {
            std::fs::write(&self.0, bytes).unwrap();
            SecretHeader::read(http::header::AUTHORIZATION, &self.0)
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_newline_at_the_end_is_cut() {
        let file = File::new("newline");
        for bytes in [&b"a b"[..], b"a b\n", b"a b\r\n"] {
            assert_eq!(file.read(bytes).unwrap().value(), "a b");
        }
        for bytes in [&b""[..], b"\n", b"a\nb", b"a\n\n", b"\0"] {
            assert!(file.read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_changes_nothing() {
        let file = File::new("stays");
        let secret = file.read(b"first").unwrap();
        std::fs::write(&file.0, "").unwrap();
        secret.check();
        assert_eq!(secret.value(), "first");
        std::fs::write(&file.0, "second\n").unwrap();
        secret.check();
        assert_eq!(secret.value(), "second");
        std::fs::remove_file(&file.0).unwrap();
        secret.check();
        assert_eq!(secret.value(), "second");
    }

    #[test]
    fn nothing_shows_it() {
        let file = File::new("hidden");
        let secret = file.read(b"s3cret").unwrap();
        assert!(!format!("{secret:?} {:?}", secret.value()).contains("s3cret"));
    }
}
