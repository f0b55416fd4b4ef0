//! The event store: the log for programs that speak KurrentDB's protocol.
//!
//! A door, as the gateway is one: every call goes through the guard with a credential of Cairn's, and what a caller sees of the
//! platform's events is what `GET /api/v1/events` shows them. Programs keep events of their own in streams that no name of
//! theirs can lead out of; the platform's own are read here and never written. Deletions, tombstones and limits of streams are
//! built upon a log that knows none of these. Knows no service's rules and no backend.

mod about;
mod batch;
mod config;
mod door;
mod expectation;
mod grpc;
mod kept;
mod names;
mod node;
mod prompt;
mod proposal;
mod reading;
mod refusals;
mod shown;
mod sight;
mod told;
mod uuids;
mod writing;

pub use about::mount;
pub use config::Config;
pub use door::{Door, Identify};
