//! The embedded event store: one SQLite database, one thread that writes to it, a few connections that read.
//!
//! Whoever appends stands in a bounded queue. The writer takes everybody who waits at that moment into one transaction,
//! gives out positions itself, commits once, and only then shows the events and answers. So one sync of the disk serves
//! as many callers as there are, positions have no gaps, and nobody is told what the disk does not have.
//!
//! Live subscribers are served from a ring of recent events in memory; the disk is read for history.
//!
//! It does not know what events mean, and it does not replicate: a disk that is lost takes the log with it.

mod by_stream;
mod carried;
mod config;
mod fault;
mod feed;
mod lock;
mod meters;
mod migration;
mod names;
mod primary;
mod query;
mod queue;
mod readers;
mod row;
mod schema;
mod store;
mod writer;

pub use config::Config;
pub use fault::OpenFault;
pub use feed::Feed;
pub use primary::{Entry, Primary, PrimaryFault};
pub use store::Sqlite;
