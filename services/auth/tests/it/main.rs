//! Auth behind its guard, over a log in memory.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod addresses;
mod bindings;
mod break_glass;
mod first_start;
mod guardrails;
mod keys;
mod organizations;
mod people;
mod projects;
mod replays;
mod suite;
