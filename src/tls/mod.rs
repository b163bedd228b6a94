//! Who are we, and who is the peer?
//!
//! What is spoken by TLS on either side: a [`Server`] has the certificates that clients are shown, a [`Client`] the roots
//! that upstreams are judged by. Both are made of files and follow them: what a new file holds is used from the next
//! connection on, and what can't be used changes nothing. TLS 1.2 and 1.3, with ring; what the sessions do with sockets
//! is `socket`'s.

mod client;
mod identity;
mod names;
mod pem;
mod server;
mod validity;

use std::sync::Arc;

pub use client::{Client, ClientSettings};
pub use identity::Pair;
pub use pem::Error;
pub use server::{Server, ServerSettings};

use rustls::crypto::CryptoProvider;

/// The algorithms.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
