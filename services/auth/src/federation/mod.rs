//! Workloads that come with a token of where they run, in place of a key of ours (RFC 8693).

mod exchange;
mod rule;

pub use exchange::{GRANT, exchange};
