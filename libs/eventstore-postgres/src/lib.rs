//! The event store of many processes: one log in PostgreSQL that all of them append to and follow.
//!
//! Whoever appends stands in a bounded queue of its process. Each process has one writer task: it locks the one row that
//! says where the log ends, takes everybody who waits at that moment, gives out positions from there, and commits all of it
//! at once. So positions have no gaps, whoever sees one can read all before it, and one sync of the database's disk serves as
//! many callers as there are. No process is special: the lock ends with its transaction, and so with its process.
//!
//! A process that finds nobody else writing sends a batch as one statement instead, which writes nothing if that was wrong.
//!
//! Nothing outlives a transaction on a connection, no lock and no setting, and where pgbouncer in transaction mode stands
//! between, no prepared statement either. What other processes append is heard of by polling, and sooner by LISTEN where there is a connection of
//! its own to listen on.
//!
//! It does not know what events mean. How safe they are is the server's business: its disks, its replicas, its backups.

mod carried;
mod config;
mod facts;
mod fault;
mod house;
mod meters;
mod plan;
mod pool;
mod query;
mod queue;
mod row;
mod schema;
mod store;
mod tables;
mod watch;
mod writer;

pub use config::Config;
pub use fault::OpenFault;
pub use store::Postgres;
