//! Configuration: defaults, then `cairn.toml`, then the environment.
//!
//! Each crate declares its own section with [`settings!`](crate::settings): one place for a key's name, type, default,
//! documentation and environment names. A [`Registry`] of sections loads them all, reports every problem at once, and
//! writes the reference.

mod environment;
mod key;
mod nearest;
mod registry;
mod report;
mod secret;
mod unavailable;

pub use key::{Key, Section};
pub use registry::{Loaded, Problems, Registry, Sources};
pub use secret::Secret;
