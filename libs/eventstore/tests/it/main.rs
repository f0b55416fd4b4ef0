//! Commands and subscriptions, on the memory backend.
#![allow(clippy::unwrap_used)]

mod commands;
mod conformance;
mod faults;
mod folding;
mod pipelining;
mod requests;
mod subscription;
mod transactions;
