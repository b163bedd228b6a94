//! Peers that mean harm, or are broken: what they send in raw bytes and raw frames, and what must become of it. Heads of
//! HTTP/1 are in `refusals`.

mod answers;
mod bodies;
mod floods;
mod frames;
mod memory;
