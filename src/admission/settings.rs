//! What a limit is, once the configuration has been checked.

use std::num::NonZeroU32;
use std::time::Duration;

use http::StatusCode;

use super::key::Key;
use crate::queue::{Order, Rules};

/// One limit with its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name; a route's inline limit has its route's name.
    pub name: String,
    /// Permits: how many requests may be in flight, at most [`LIMIT_MAX`].
    pub limit: NonZeroU32,
    /// How large it may become where it is not fixed. A client that asks for more than that asks in vain; one that asks
    /// for less takes the whole limit, if it has to, and runs alone. Default `None`: it is fixed.
    pub limit_max: Option<NonZeroU32>,
    /// How many may wait; zero rejects at once.
    pub queue: u32,
    /// How long one may wait. Default 10 s.
    pub queue_timeout: Duration,
    /// Bytes of request bodies that requests without a permit may hold in memory, all together. Default 64 MiB.
    pub queue_bytes: u64,
    /// Status of rejections for want of capacity. Default 503.
    pub reject_status: StatusCode,
    /// Who goes first of those who wait. Default [`Order::Fifo`].
    pub order: Order,
    /// What holds for keys. Default `None`: nobody has one.
    pub rules: Option<Rules<Key>>,
    /// How long a permit is held. Default [`Hold::Response`].
    pub hold: Hold,
    /// Whether every request takes one seat, whatever it asks of its other limits. Never changes. Default false.
    pub takes_one: bool,
    /// Whether it only counts: then nobody waits or is rejected, and in-flight may exceed the limit. Default false.
    pub dry_run: bool,
}

/// How long a permit is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hold {
    /// Until the end of the response.
    #[default]
    Response,
    /// Until the head of the response has come.
    Head,
}

/// The largest limit: in-flight and limit are 24-bit fields of one word.
pub const LIMIT_MAX: u32 = (1 << 24) - 1;

impl Settings {
    /// The defaults around a limit: a queue of four times the limit, between 16 and 1000.
    pub fn new(name: impl Into<String>, limit: NonZeroU32) -> Self {
        Settings {
            name: name.into(),
            limit,
            limit_max: None,
            queue: default_queue(limit),
            queue_timeout: Duration::from_secs(10),
            queue_bytes: 64 << 20,
            reject_status: StatusCode::SERVICE_UNAVAILABLE,
            order: Order::Fifo,
            rules: None,
            hold: Hold::Response,
            takes_one: false,
            dry_run: false,
        }
    }
}

/// Four times the limit, at least 16 and at most 1000.
pub fn default_queue(limit: NonZeroU32) -> u32 {
    limit.get().saturating_mul(4).clamp(16, 1000)
}
