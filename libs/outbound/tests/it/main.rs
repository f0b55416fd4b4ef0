//! Requests to a server that misbehaves.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod sending;
