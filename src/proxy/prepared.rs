//! Rejections of which nothing is new but whom they are for.
//!
//! Under overload they are what most clients get, and those of one limit for one reason are nearly all the same.

use std::sync::OnceLock;

use http::{HeaderMap, StatusCode};

use crate::admission::Reason;

/// What those of one limit of a route say, each written once.
#[derive(Debug, Default)]
pub(super) struct Rejections([OnceLock<Prepared>; Reason::ALL.len()]);

/// What those of a kind have in common.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) status: StatusCode,
    pub(super) detail: &'static str,
    /// The first one's.
    pub(super) retry_after: Option<u64>,
    /// Their fields, with room for the request's id and for how it waited.
    pub(super) fields: HeaderMap,
    /// How the body begins.
    pub(super) start: Vec<u8>,
}

impl Rejections {
    /// The rejections for this reason, as the first of them was. An operator can have the status changed, and a reason has
    /// several details: for what is unlike that first one there is nothing.
    pub(super) fn like(
        &self,
        reason: Reason,
        (status, detail): (StatusCode, &'static str),
        prepare: impl FnOnce() -> Prepared,
    ) -> Option<&Prepared> {
        let prepared = self.0[reason as usize].get_or_init(prepare);
        (prepared.status == status && prepared.detail == detail).then_some(prepared)
    }
}
