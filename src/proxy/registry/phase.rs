//! How far a request has come, in words.

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// It has not been admitted.
    Queued,
    /// It is upstream, without an answer yet.
    Upstream,
    /// In the middle of its answer.
    Response,
    /// Its connection has become something else.
    Upgraded,
    /// Its client is gone, and its exchange has not ended.
    Abandoned,
}

impl Phase {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Queued => "queued",
            Phase::Upstream => "upstream",
            Phase::Response => "response",
            Phase::Upgraded => "upgraded",
            Phase::Abandoned => "abandoned",
        }
    }
}
