//! Carries a log from one engine to another as it is, and proves that it arrived.
//!
//! A log that is carried keeps every position, revision, id, time and byte, so whatever was made from it — read models,
//! signed checkpoints, proofs — goes on as if nothing had happened. What was carried is read back and compared with where
//! it came from, event by event; the root of a Merkle tree over all of them says in one line what it was.
//!
//! Knows no engine: each reads and takes over a log in its own way ([`Carried`](cairn_eventstore::Carried)).

mod carrying;
mod comparison;
mod digest;
mod fault;

pub use carrying::{Progress, carry};
pub use comparison::compare;
pub use digest::{Digest, digest};
pub use fault::CarryFault;
