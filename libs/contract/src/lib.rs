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

pub mod docs;

mod contract;
mod deprecation;
mod event;
mod method;
mod options;
mod reason;
mod redact;
mod resource;
mod template;
mod wire;
mod writes;

pub use contract::{Contract, Permission, Violations};
pub use deprecation::Deprecation;
pub use event::{EventFault, EventType};
pub use method::{Binding, Method};
pub use options::Declared;
pub use reason::Reason;
pub use redact::{holds_sensitive, is_sensitive, redact};
pub use resource::ResourceFault;
pub use template::{Segment, Template, TemplateFault, Variable};
