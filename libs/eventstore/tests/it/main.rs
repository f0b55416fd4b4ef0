//! Commands and subscriptions, on the memory backend.
#![allow(clippy::unwrap_used)]

mod account;
mod commands;
mod requests;
mod subscription;
mod transactions;
