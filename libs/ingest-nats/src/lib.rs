//! A queue in NATS JetStream: a stream for each partition, in files, of a server that writes before it acknowledges or of
//! several that have a copy each.
//!
//! What is finished is purged, so that a stream's own first and last places say how far its partition has come.

mod address;
mod cursor;
mod durable;
mod queue;

pub use address::Address;
pub use durable::Durability;
pub use queue::NatsQueue;
