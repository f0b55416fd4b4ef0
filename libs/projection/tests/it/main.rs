//! Views over a log in memory: they follow, survive, set poison aside, and can be rebuilt.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod beside;
mod crash;
mod follow;
mod past;
mod poison;
mod rebuild;
mod support;
