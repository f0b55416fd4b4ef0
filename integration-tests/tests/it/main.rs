//! Everything that needs more than one crate.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used)]

mod as_of;
mod carrying;
mod contract;
mod engines;
mod fuzz;
mod history;
mod operations;
mod outage;
mod secrets;
mod suite;
mod tidy;
mod verbs;
