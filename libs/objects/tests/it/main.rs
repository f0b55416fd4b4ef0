//! Every store passes the same suite; what only one of them can do stands in a file of its own.
#![allow(clippy::unwrap_used)]

mod conformance;
mod folder;
mod memory;
mod opening;
mod s3;
