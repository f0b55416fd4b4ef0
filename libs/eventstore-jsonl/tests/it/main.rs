//! The suite that every backend passes, and what is particular to a file of lines.
#![allow(clippy::unwrap_used)]

mod file;
mod place;

use place::Place;

cairn_eventstore::conformance!(Place::new());
