//! The contracts: generated messages, clients and servers, the embedded descriptor set, and a typed view of our options.
//!
//! Knows nothing of how a call is carried out. The descriptors are the one table of methods; everything that routes,
//! authorizes, audits or documents reads it here.

mod generated {
    #![allow(clippy::all, clippy::pedantic, missing_docs)]
    include!(concat!(env!("OUT_DIR"), "/_includes.rs"));
}

pub use generated::{cairn, google};

/// The descriptor set of all contracts, as the compiler wrote it, with custom options and comments.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

mod contract;
mod method;
mod template;

pub use contract::{Contract, Violations};
pub use method::{Binding, Method};
pub use template::{Segment, Template, TemplateFault, Variable};
