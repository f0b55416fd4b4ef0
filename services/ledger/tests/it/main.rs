//! The ledger behind the guard, over a log in memory: what callers find in it, and what they cannot see.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod audit;
mod cloud_events;
mod events;
mod export;
mod house;
mod lineage;
mod openlineage;
mod organizations;
mod tail;
mod transparency;
