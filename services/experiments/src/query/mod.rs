//! Reads the read models, and only them.

mod experiments;
#[cfg(test)]
mod growth;
mod logged_models;
mod run_plan;
mod run_search;
mod run_walk;
mod runs;
mod usage;
mod visible;

use cairn_projection::{QueryFault, ReadModel};
use rusqlite::Connection;

pub use self::experiments::{ExperimentPage, ExperimentRecord, ExperimentSearch, RevisionRecord};
pub use self::logged_models::{LoggedModelPage, LoggedModelRecord, LoggedModelSearch, MeasuredRecord};
pub use self::run_search::{RunPage, RunSearch};
pub use self::runs::{BatchRecord, MetricRecord, RunDetail, RunRecord};
pub use self::usage::RunCount;
pub use self::visible::Visible;
use crate::search::SearchFault;

/// Which lifecycle is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LifecycleFilter {
    #[default]
    Active,
    Deleted,
    All,
}

/// Answers questions from the read models. Cheap to clone.
#[derive(Clone)]
pub struct Query {
    model: ReadModel,
    is_past: bool,
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error(transparent)]
    Search(#[from] SearchFault),
    #[error(transparent)]
    Query(#[from] QueryFault),
}

impl Query {
    /// Over the tables of this service.
    pub fn new(model: ReadModel) -> Self {
        Self { model, is_past: false }
    }

    /// Over what the tables of this service were.
    pub fn of_the_past(model: ReadModel) -> Self {
        Self { model, is_past: true }
    }

    async fn ask<T, F>(&self, question: F) -> Result<T, QueryFault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.model.query(question).await
    }
}

impl LifecycleFilter {
    /// What it asks of a column that is 1 for what is deleted.
    fn sql(self) -> Option<&'static str> {
        match self {
            Self::Active => Some(" = 0"),
            Self::Deleted => Some(" = 1"),
            Self::All => None,
        }
    }
}
