//! Points in PostgreSQL: a row each, once, written together with the checkpoint in one transaction.
//!
//! Whoever writes has a number that the checkpoint's row knows. A transaction begins by moving that row from where the writer
//! believes it is: another process that took over, or was quicker, leaves it nothing to move.

mod engine;
mod tables;

pub use engine::{Config, PostgresPoints};
