//! The edge: HTTP and gRPC in, gRPC to the services.
//!
//! Generic: it knows no service by name. The contract's descriptors are its only table; they say which path leads to
//! which method, how its messages look as JSON and whether it streams. It finds out who calls and keeps callers to
//! their limits; what a caller may do is decided behind it, by the guard that every service stands behind.

mod authn;
mod call;
mod caller;
mod changes;
mod config;
mod edge;
mod enter;
mod forward;
mod gateway;
mod grpc;
mod html;
mod intake;
mod limit;
mod line;
mod live;
mod manners;
mod open;
mod paced;
mod problem;
mod raw;
mod retiring;
mod route;
mod server;
mod sources;
mod timed;
mod transcode;
mod unread;
mod upload;
mod upstream;
mod web;

pub use authn::{Authenticator, Known, Origin};
pub use config::Config;
pub use gateway::Gateway;
