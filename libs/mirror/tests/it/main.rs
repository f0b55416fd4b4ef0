//! Copies of views in a genuine PostgreSQL.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod cost;
mod equality;
mod fill;
mod random;
mod shapes;
mod takeover;
mod trouble;
