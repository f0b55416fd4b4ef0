//! Measured points, and the seam to whatever engine keeps them outside of this process.
//!
//! An engine is fed from the log by one process at a time. It stores what it is given together with how far in the log that
//! reaches, each point exactly once however often it is told. It does not know what events look like, nor who may read.

mod engine;
mod row;

pub use engine::{Batch, Checkpoint, Engine, EngineFault, Entry, Series, Tenure};
pub use row::Row;
