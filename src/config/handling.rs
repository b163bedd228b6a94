//! The keys of a route about its exchanges: what is spooled, and how long they may take.

use super::section::Section;
use super::value::size;
use crate::proxy::Handling;

/// What a table says of them. What it does not say is `None`.
#[derive(Debug)]
pub(super) struct Keys {
    buffer_request: Option<u64>,
    buffer_response: Option<u64>,
}

/// So many bytes are certainly not meant to be held in memory for each request.
const BUFFER_MAX: u64 = 1 << 30;

impl Keys {
    /// Takes the keys out of a section.
    pub(super) fn take(section: &mut Section<'_>) -> Self {
        Keys {
            buffer_request: section.take("buffer_request", size(0..=BUFFER_MAX)),
            buffer_response: section.take("buffer_response", size(0..=BUFFER_MAX)),
        }
    }

    /// What holds where these keys come before the defaults.
    pub(super) fn over(&self, defaults: &Keys) -> Handling {
        Handling {
            buffer_request: bytes(self.buffer_request.or(defaults.buffer_request)),
            buffer_response: bytes(self.buffer_response.or(defaults.buffer_response)),
        }
    }
}

fn bytes(size: Option<u64>) -> usize {
    usize::try_from(size.unwrap_or(0)).expect("a gibibyte fits into memory")
}
