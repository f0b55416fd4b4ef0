//! The whole suite in one process: every role over one store, behind one gateway.

pub mod config;
mod core;
mod folder;
mod pages;
mod running;

pub use self::core::Core;
pub use config::Config;
pub use folder::Folder;
pub use running::Running;
