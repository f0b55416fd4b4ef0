//! The gateway in front of a small service that records what reaches it.

// A test that cannot get what it needs has failed.
#![allow(clippy::unwrap_used)]

mod balance;
mod connections;
mod contract;
mod errors;
mod grpc;
mod identity;
mod limits;
mod live;
mod manners;
mod mlflow;
mod raw;
mod rest;
mod slow;
mod things;
mod versions;
mod world;
