//! Where the admin listener is and who may use it, once the configuration has been checked.

use std::fmt;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The admin listener.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens; `None` for "off". Default 127.0.0.1:9901.
    pub listen: Option<Listen>,
    /// What those who are not on this machine must present. Without one, they are refused.
    pub token: Option<Token>,
    /// Whether there is a page to look at, at `/`. Default true.
    pub dashboard: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let listen = Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 9901)));
        Settings { listen: Some(listen), token: None, dashboard: true }
    }
}

/// Where an admin listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address and port; port 0 is a free one.
    Tcp(SocketAddr),
    /// A socket in the file system, which only our own user, and root, may connect to. Who does may do everything.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
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
        assert_eq!(Token::try_new("").unwrap_err(), TokenError::Empty);
        for text in [" ", "a b", "a\n", "a\0", "ä"] {
            assert_eq!(Token::try_new(text).unwrap_err(), TokenError::Invisible, "{text:?}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let settings = Settings { token: Some(Token::try_new("secret").unwrap()), ..Settings::default() };
        assert!(!format!("{settings:?} {settings:#?}").contains("secret"));
    }
}
