//! Configuration and secrets behind their guard, over a log in memory and keys on the disk.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod config;
mod secrets;
mod settings;
mod suite;
