//! Registered models: their versions, aliases and stages, and the promotions by which more than one person decides what
//! is used. MLflow's model registry is a second accent of the same commands. Beside them functions, and the packages that
//! are published of them.
//!
//! Owns the streams `registry.*`. Hears of runs, logged models and artifacts from experiments' events, to know where the
//! files of a version are and what they hold; never asks anybody. Knows nothing of a concrete event store.

pub mod app;
pub mod cards;
pub mod config;
mod convert;
pub mod files;
pub mod functions;
mod grpc;
pub mod hooks;
mod mlflow;
pub mod model;
mod mount;
mod projection;
pub mod query;
pub mod search;
mod stored;

pub use config::Config;
pub use mount::{MountFault, ROLE, Settings, mount, open};
