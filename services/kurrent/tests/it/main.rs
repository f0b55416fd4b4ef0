//! The door over a socket, as clients of the protocol see it, on a log in memory.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod batches;
mod engine;
mod engine_place;
mod following;
mod house;
mod reading;
mod rights;
mod writing;
