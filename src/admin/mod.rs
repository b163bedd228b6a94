//! How are we doing?
//!
//! So far only what the operator says about the listener that will answer that.

mod settings;

pub use settings::{Settings, Token, TokenError};
