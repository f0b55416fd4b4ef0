//! Configuration: defaults, then `cairn.toml`, then the environment, then flags of the command line.
//!
//! Each crate declares its own section with [`settings!`](crate::settings): one place for a key's name, type, default,
//! documentation and environment names. A [`Registry`] of sections loads them all, reports every problem at once, and
//! writes the reference.

mod environment;
mod nearest;
mod registry;
mod report;
mod sources;
mod unavailable;

pub use cairn_kernel::{Key, Secret, Section};
pub use registry::{Loaded, Problems, Registry};
pub use report::Setting;
pub use sources::Sources;
