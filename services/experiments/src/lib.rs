//! Experiments, their runs, and what the runs log: params, tags, metrics, data sets, models.
//!
//! Owns the streams `experiments.*`. Knows nothing of who its callers are beyond what [`cairn_service::Ctx`] says, and
//! nothing of a concrete event store.

pub mod artifacts;
mod convert;
pub mod model;
mod stored;
