//! The suite that every backend passes, and what is particular to this one. Each test has a PostgreSQL of its own.
#![allow(clippy::unwrap_used)]

mod history;
mod opening;
mod outage;
mod place;
mod pooler;
mod processes;
mod removal;
mod several;
mod tls;

use place::Place;

cairn_eventstore::conformance!(Place::new());
