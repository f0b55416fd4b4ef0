//! The log in KurrentDB: one stream there, in the order of the log, and a copy in every process that answers.
//!
//! KurrentDB has no append to several streams, gives positions with gaps, and finds no event by its id alone. One stream has
//! all of that for its own events: an append of several events is atomic, revisions are counted without gaps, and an append
//! behind the wrong revision is refused, which keeps the writers of many processes in one order without a leader. So the
//! whole log is one stream, `events_kurrentdb.stream`, whose events say in their metadata which stream of ours they are of.
//!
//! Each process follows it into an SQLite database that knows streams, ids and positions. A batch is worked out there, sent
//! behind the last entry that is known here, and committed here once it is durable there; whoever was quicker elsewhere is
//! read first, and the batch is worked out anew. Reads never go over the network.
//!
//! It does not know what events mean. How safe they are is KurrentDB's business; the copy can be lost.

mod config;
mod entry;
mod fault;
mod follower;
mod link;
mod primary;
mod store;

pub use config::Config;
pub use fault::OpenFault;
pub use store::Kurrent;
