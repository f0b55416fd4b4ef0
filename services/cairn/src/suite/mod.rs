//! The whole suite in one process: every role over one store, behind one gateway.

pub mod config;

pub use config::Config;
