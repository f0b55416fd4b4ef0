//! An event store that people can read: one file of JSON Lines, one line for each append.
//!
//! For small logs that somebody wants to look at with `less` and `jq`, and the plainest engine there is that keeps its
//! word: a line is synced before its append is answered or shown, whoever waits at that moment shares one sync, and a line
//! that a crash cut off is an append that never was. Every line ends with a checksum, so that one edited by hand is found.
//!
//! The whole log is held in memory and read at the start; nothing is ever removed from the file. A log that outgrows this
//! belongs into the embedded database.

mod config;
mod copied;
mod fault;
mod file;
mod line;
mod store;
mod writer;

pub use config::Config;
pub use copied::Copied;
pub use fault::OpenFault;
pub use line::Readable;
pub use store::Jsonl;
