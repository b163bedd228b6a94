//! The keys of a route about its exchanges: what is spooled, and how long they may take.

use std::time::Duration;

use config::Value;

use super::section::Section;
use super::server::TIMEOUT;
use super::value::{Taken, as_text, boolean, choice, duration, size};
use crate::proxy::Handling;

/// What a table says of them. What it does not say is `None`.
#[derive(Debug)]
pub(super) struct Keys {
    buffer_request: Option<u64>,
    buffer_response: Option<u64>,
    timeout: Option<Option<Duration>>,
    max_duration: Option<Option<Duration>>,
    queue_events: Option<bool>,
    log: Option<bool>,
}

/// So many bytes are certainly not meant to be held in memory for each request.
const BUFFER_MAX: u64 = 1 << 30;

impl Keys {
    /// Takes the keys out of a section.
    pub(super) fn take(section: &mut Section<'_>) -> Self {
        Keys {
            buffer_request: section.take("buffer_request", size(0..=BUFFER_MAX)),
            buffer_response: section.take("buffer_response", size(0..=BUFFER_MAX)),
            timeout: section.take("timeout", duration_or_none),
            max_duration: section.take("max_duration", duration_or_none),
            queue_events: section.take("queue_events", choice(&[("off", false), ("sse", true)])),
            log: section.take("log", boolean),
        }
    }

    /// What holds where these keys come before the defaults.
    pub(super) fn over(&self, defaults: &Keys) -> Handling {
        Handling {
            buffer_request: bytes(self.buffer_request.or(defaults.buffer_request)),
            buffer_response: bytes(self.buffer_response.or(defaults.buffer_response)),
            timeout: self.timeout.or(defaults.timeout).flatten(),
            max_duration: self.max_duration.or(defaults.max_duration).flatten(),
            queue_events: self.queue_events.or(defaults.queue_events).unwrap_or(false),
            unlogged: self.log.or(defaults.log) == Some(false),
        }
    }
}

/// A duration, or `"none"` where the defaults have one.
fn duration_or_none(value: &Value) -> Taken<Option<Duration>> {
    match as_text(value) {
        Some("none") => Ok(None),
        _ => duration(TIMEOUT)(value).map(Some),
    }
}

fn bytes(size: Option<u64>) -> usize {
    usize::try_from(size.unwrap_or(0)).expect("a gibibyte fits into memory")
}
