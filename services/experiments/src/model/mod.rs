//! The rules: pure functions of state and command. Nothing here knows time, storage or transport.

pub mod artifact;
pub mod entry;
pub mod experiment;
pub mod experiment_name;
pub mod limits;
pub mod logged_model;
pub mod name;
mod origin;
pub mod points;
pub mod run;

pub use entry::{Dropped, EntryKind, Key, Limit, Pairs};
pub use experiment::Experiment;
pub use experiment_name::NameClaim;
pub use limits::Limits;
pub use logged_model::LoggedModel;
pub use name::{ExperimentName, LoggedModelName, ProjectName, RunName};
pub use origin::Origin;
pub use points::{Point, Points, Subject};
pub use run::{Batch, BatchId, Run, RunState};
