//! The chassis from outside.

// The lint knows test functions; helpers of tests it does not.
#![allow(clippy::unwrap_used)]

mod certificates;
mod config;
mod guard;
mod health;
mod links;
mod outgoing;
mod pki;
mod telemetry;
mod zoo;
