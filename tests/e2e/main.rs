//! The real binary between clients and an upstream that does as it is told. Each test's name is a claim.

#![allow(unreachable_pub, reason = "the harness reads as a library of its own")]

mod abandoned;
mod admin;
mod bodies;
mod buffer_request;
mod buffer_response;
mod claims;
mod corners;
mod corners_body;
mod corners_pace;
mod deadlines;
mod drain;
mod durations;
mod endings;
mod forwarding;
mod grpc;
mod h2c_ends;
mod h2c_failures;
mod h2c_messages;
mod h2c_resends;
mod h2c_upstream;
mod harness;
mod hostile;
mod http2;
mod http2_bounds;
mod http2_messages;
mod leaving;
mod load;
mod peers;
mod preflight;
mod queue_events;
mod refusals;
mod rejections;
mod reload;
mod rewriting;
mod route_log;
mod routes;
mod semantics;
mod startup;
mod storm;
mod strictness;
mod support;
mod timeouts;
mod upgrades;
mod uploads;
