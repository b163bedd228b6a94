//! What opens the admin listener for those who are not on this machine.

use std::fmt;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::FromFiles;

/// The token in force. That of a file follows the file.
#[derive(Clone)]
pub struct Secret {
    file: Option<PathBuf>,
    token: Arc<FromFiles<Token>>,
}

impl Secret {
    /// A token that stays what it is.
    pub fn fixed(token: Token) -> Self {
        let token = FromFiles::try_new::<TokenError>(Vec::new(), || Ok(token)).expect("it is there already");
        Secret { file: None, token: Arc::new(token) }
    }

    /// The token in a file. A newline at its end is not part of it.
    ///
    /// # Errors
    /// When the file can't be read, or holds no token.
    pub fn read(file: impl Into<PathBuf>) -> Result<Self, TokenError> {
        let file = file.into();
        let token = FromFiles::try_new(vec![file.clone()], || Token::try_from_file(&file))?;
        Ok(Secret { file: Some(file), token: Arc::new(token) })
    }

    /// What opens it now.
    pub fn token(&self) -> Arc<Token> {
        self.token.current()
    }

    /// Reads the file again if it has changed. What is wrong with it is logged and counted, and the token that was there
    /// stays. It blocks on the file system.
    pub(super) fn check(&self) {
        if let Some(file) = &self.file {
            self.token.check(|| Token::try_from_file(file));
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A secret, which is not empty and which nothing shows.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Makes a token of a text.
    ///
    /// # Errors
    /// When the text is empty, or holds what a header field cannot carry as a token: anything but visible ASCII.
    pub fn try_new(text: impl Into<String>) -> Result<Self, TokenError> {
        let text = text.into();
        match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            _ if text.is_empty() => Err(TokenError::Empty),
            false => Err(TokenError::Invisible),
            true => Ok(Token(text)),
        }
    }

    fn try_from_file(file: &Path) -> Result<Self, TokenError> {
        let text = std::fs::read_to_string(file).map_err(TokenError::Unreadable)?;
        // Editors end a file with a newline, which is not part of the token.
        Token::try_new(text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)))
    }

    /// The token itself, for a request that must present it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is this token. How long that takes depends on the candidate's length, not on how much of it
    /// is right.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let token = self.0.as_bytes();
        let mut difference = u8::from(token.len() != candidate.len());
        // Over a token that is repeated, so that a candidate of another length goes all the way, too.
        for (byte, of_token) in candidate.iter().zip(token.iter().cycle()) {
            // What the optimizer cannot see through, it cannot end early.
            difference = black_box(difference | (byte ^ of_token));
        }
        difference == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why a text is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Its file can't be read.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It holds a space, a control character or something beyond ASCII.
    #[error("holds a character that no header can carry in a token")]
    Invisible,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_matches_only_itself() {
        let token = Token::try_new("abcabc").unwrap();
        assert!(token.matches(b"abcabc"));
        for other in ["", "abc", "abcab", "abcabd", "bbcabc", "abcabcabc", "abcabcabcabc", "ABCABC", "abcabc\0"] {
            assert!(!token.matches(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn what_no_header_can_carry_is_no_token() {
        assert!(matches!(Token::try_new(""), Err(TokenError::Empty)));
        for text in [" ", "a b", "a\n", "a\0", "ä"] {
            assert!(matches!(Token::try_new(text), Err(TokenError::Invisible)), "{text:?}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let secret = Secret::fixed(Token::try_new("secret").unwrap());
        let settings = crate::admin::Settings { token: Some(secret), ..Default::default() };
        assert!(!format!("{settings:?} {settings:#?}").contains("secret"));
    }

    #[test]
    fn the_token_of_a_file_follows_it_and_what_is_none_changes_nothing() {
        let file = std::env::temp_dir().join(format!("sluicegate-token-{}", std::process::id()));
        std::fs::write(&file, "first\n").unwrap();
        let secret = Secret::read(&file).unwrap();
        let handed_on = secret.clone();
        for (text, token) in [("", "first"), ("a b\n", "first"), ("second\r\n", "second")] {
            std::fs::write(&file, text).unwrap();
            secret.check();
            assert_eq!(handed_on.token().reveal(), token, "{text:?}");
        }
        std::fs::remove_file(&file).unwrap();
        secret.check();
        assert_eq!(handed_on.token().reveal(), "second");
        assert!(matches!(Secret::read(&file), Err(TokenError::Unreadable(_))));
    }
}
