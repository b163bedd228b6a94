//! Which trace does a request belong to?
//!
//! W3C Trace Context, Level 1: what a client says of its trace, and what the upstream is told. Nothing here knows of spans
//! or of those who collect them.

mod parent;
mod trace;

pub use parent::{Parent, SpanId, TRACEPARENT, TRACESTATE, TraceId};
pub use trace::Trace;
