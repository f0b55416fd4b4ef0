//! A queue in Redis: a stream for each partition, and Redis's append-only file to keep what it has acknowledged.
//!
//! Places in a partition are counted by a key of its own, so that they go on when it is empty. What is finished is removed.

mod durable;
mod queue;
mod script;

pub use queue::RedisQueue;
