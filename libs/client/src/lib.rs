//! The Rust SDK: typed calls through the gateway, over HTTP and JSON, routed by the contract.
//!
//! Knows no service: a call names its RPC, and the descriptors say which verb, path and body it has. What a gateway of
//! the same or a later version understands, this client can say.

mod call;
mod fault;
mod route;

pub use call::{Client, Lines};
pub use fault::Fault;
