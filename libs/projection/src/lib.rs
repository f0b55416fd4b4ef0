//! From the log to read models: one subscription per view, its checkpoint in the same transaction, readers that wait
//! for a position, and rebuilds that prove the view equals its history.
//!
//! A read model is a SQLite file with one writer and a pool of readers; the views of one file take turns on the
//! writer. Knows nothing of any service's tables. A projection can only write rows: it is given a transaction and
//! nothing else, so it cannot perform a side effect.

mod applier;
mod batch;
mod catalog;
mod changes;
mod copied;
mod definition;
mod file;
mod follower;
mod history;
mod past;
mod projection;
mod read_model;
mod readers;
mod rebuild;
mod room;
mod status;
mod view;

pub use changes::{Cells, Changes, ChangesFault, Column, Kind, Rows, Snapshot, Standing, TableShape};
pub use copied::Copied;
pub use past::{Past, PastFault};
pub use projection::{Projection, ProjectionFault};
pub use read_model::{QueryFault, ReadModel};
pub use rebuild::{Difference, RebuildFault, Rebuilt, TableDigest, TableVerdict, Verdict};
pub use rusqlite;
pub use view::{Limits, View, ViewState, WaitFault};
