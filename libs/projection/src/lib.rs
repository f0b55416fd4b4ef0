//! From the log to read models: one subscription per view, its checkpoint in the same transaction, readers that wait
//! for a position, and rebuilds that prove the view equals its history.
//!
//! A read model is a SQLite file with one writer (the view's own thread) and a pool of readers. Knows nothing of any
//! service's tables. A projection can only write rows: it is given a transaction and nothing else, so it cannot perform
//! a side effect.

mod projection;
mod read_model;
mod view;

pub use projection::{Projection, ProjectionFault};
pub use read_model::{QueryFault, ReadModel};
pub use rusqlite;
pub use view::{View, WaitFault};
