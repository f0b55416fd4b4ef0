//! The chassis from outside.

// The lint knows test functions; helpers of tests it does not.
#![allow(clippy::unwrap_used)]

mod config;
mod guard;
mod health;
mod outgoing;
mod telemetry;
mod zoo;
