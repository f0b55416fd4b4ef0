//! The points behind metrics: packed, kept in order, read back whole or thinned out.

pub mod conformance;
pub(crate) mod packed;
pub(crate) mod read;
pub(crate) mod sample;
mod store;
pub(crate) mod write;

pub use packed::Row;
pub use read::{Cursor, HistoryPage};
pub use sample::Sample;
pub use store::{MetricFault, MetricStore, SqliteMetrics};
