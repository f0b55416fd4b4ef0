//! The whole suite in one process: every role over one store, behind one gateway.

pub mod config;
mod core;
pub mod engines;
mod folder;
mod live;
mod pages;
mod running;

pub use self::core::Core;
pub use config::Config;
pub use engines::Engines;
pub use folder::Folder;
pub use running::Running;
