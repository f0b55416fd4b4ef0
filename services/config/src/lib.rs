//! Configuration and secrets: what programs are told, by environment, and what they need that nobody should see.
//!
//! Owns the streams `config.*`. Configuration is in the log as it is; of secrets the log has sealed bytes alone
//! (`libs/seal`), whose keys lie in a table that can forget. A reference from the one to the other is checked when it is
//! written and never resolved here: whoever needs the value asks for it by name, under a right of its own.

mod desk;
mod grpc;
mod model;
mod mount;
mod projection;
mod query;
mod reactor;
mod settings;
mod stored;
mod vault;

pub use mount::{MountFault, mount};
pub use settings::{Replica, Settings, follow};
