//! Experiments, their runs, and what the runs log: params, tags, metrics, data sets, models.
//!
//! Owns the streams `experiments.*`. Knows nothing of who its callers are beyond what [`cairn_service::Ctx`] says, and
//! nothing of a concrete event store.

pub mod app;
pub mod artifacts;
pub mod config;
mod convert;
mod grpc;
pub mod ingest;
pub mod logs;
pub mod metrics;
mod mlflow;
pub mod model;
mod mount;
mod projection;
pub mod query;
pub mod search;
mod stored;
mod usage;

pub use config::Config;
pub use mount::{MountFault, ROLE, Settings, mount, open, open_with};
