//! This service through its commands, queries and doors, over a log in memory and real read models.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod door;
mod functions;
mod hooks;
mod letters;
mod models;
mod promotions;
mod signing;
mod sink;
mod sources;
mod support;
mod versions;
mod views;
