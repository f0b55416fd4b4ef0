//! What is particular to this backend, and the suite that every backend passes.
#![allow(clippy::unwrap_used)]

mod commands;
mod conformance;
mod crash;
mod damage;
mod disk;
mod opening;
mod pressure;
mod removal;
mod streams;
mod support;
mod wal;
