//! The points behind metrics: packed, kept in order, read back whole or thinned out.

pub mod conformance;
mod follow;
mod followed;
pub(crate) mod packed;
pub(crate) mod read;
pub(crate) mod sample;
mod store;
pub(crate) mod write;

pub use followed::{Followed, FollowedState};
pub use packed::Row;
pub use read::{Cursor, HistoryPage};
pub use sample::Sample;
pub use store::{MetricFault, MetricStore, SqliteMetrics};
