//! Commands and subscriptions, on the memory backend.
#![allow(clippy::unwrap_used)]

mod account;
mod commands;
mod conformance;
mod requests;
mod subscription;
mod transactions;
