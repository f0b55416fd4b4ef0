//! Points in ClickHouse, which has no transactions: a fence that a writer's inserts have to pass, blocks that are there whole
//! or not at all, and a look at what the last one left before going on.
//!
//! - Each writer has a fence, a table of its own that every insert of it reads from. Whoever takes over drops the fences of
//!   those before: that waits for what is passing, and nothing passes afterwards.
//! - A batch is one block in one partition, which ClickHouse stores as a whole. The checkpoint follows it.
//! - So at most one block lies behind the checkpoint, and whoever takes over finds it by its positions, in the table and in the
//!   summary that is made of it.
//!
//! It speaks HTTP, and SQL that servers from 18.16 on understand.

mod address;
mod client;
mod engine;
mod rows;
mod shards;
mod sql;
mod tables;

pub use address::Address;
pub use engine::{ClickHousePoints, Place};
pub use shards::Shards;
