//! The replica behind a log in memory, and the matrix of roles.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod oracle;
mod replica;
mod roles;
