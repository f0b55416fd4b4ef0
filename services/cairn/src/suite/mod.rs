//! The suite, or some of its roles, in one process: over one store, behind one gateway.

pub mod config;
mod core;
mod dispatch;
mod doors;
pub mod engines;
mod eventstore;
mod folder;
mod ingest;
mod live;
mod pages;
mod peers;
mod points;
mod read_models;
mod role;
mod running;
mod switching;

pub use self::core::Core;
pub use config::Config;
pub use doors::{Addresses, public_url};
pub use engines::Engines;
pub(crate) use engines::lock_shared;
pub use folder::Folder;
pub use role::{Role, Roles};
pub use running::{NOT_SHARED, Running};
pub use switching::{Trace, switch};
