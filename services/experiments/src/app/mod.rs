//! What this service does, for whichever surface asks: each call decides, appends, waits until the read models have
//! seen it, and answers from them.
//!
//! A run's changes are refused when its experiment is deleted. That is looked up in a short-lived cache rather than
//! witnessed: a change that races the deletion may land within [`EXPERIMENT_SEEN_FOR`] of it, and is then simply part
//! of a deleted experiment.

mod batches;
mod call;
mod experiments;
mod import;
mod logged_models;
mod project_tags;
mod queued;
mod reading;
mod room;
mod runs;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::Commands;
use cairn_kernel::{Clock, Position, StreamName};
use cairn_projection::View;
use cairn_service::quota::Rooms;
use cairn_service::{AsOfReads, Refusal};
use moka::future::Cache;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use self::batches::{Logged, NewBatch};
pub use self::call::{Call, Made};
pub use self::experiments::{ExperimentChange, NewExperiment};
pub use self::logged_models::ModelDraft;
use self::project_tags::ProjectTags;
pub use self::reading::Reading;
pub use self::runs::RunDraft;
pub use self::watch::{WatchFrom, Watched};
use crate::config::Config;
use crate::ingest::Ingest;
use crate::metrics::MetricStore;
use crate::model::{Experiment, RunName};
use crate::query::{Query, SearchError};

/// How long an experiment's state is believed when one of its runs changes.
pub const EXPERIMENT_SEEN_FOR: Duration = Duration::from_secs(1);
/// Most experiments and runs remembered between calls.
const REMEMBERED_MAX: u64 = 10_000;
/// Most callers that follow metrics at the same time.
const WATCHERS_MAX: usize = 1000;

/// The commands and queries of this service. Cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
    /// The way that points take into the log, where it is not the direct one.
    ingest: Option<Ingest>,
}

struct Inner {
    commands: Commands,
    clock: Arc<dyn Clock>,
    view: View,
    query: Query,
    metrics: Arc<dyn MetricStore>,
    past: AsOfReads,
    config: Config,
    project_tags: ProjectTags,
    /// Projects whose default experiment exists.
    defaults: Cache<String, ()>,
    experiments: Cache<StreamName, Arc<Experiment>>,
    /// Names of runs by the stream that their ids give. A run never moves.
    runs: Cache<StreamName, RunName>,
    watchers: Arc<Semaphore>,
    /// What is under way within the quotas of projects.
    rooms: Rooms,
}

impl App {
    /// Over a log and the read models that follow it.
    pub fn new(
        commands: Commands,
        clock: Arc<dyn Clock>,
        view: View,
        query: Query,
        metrics: Arc<dyn MetricStore>,
        past: AsOfReads,
        config: Config,
    ) -> Self {
        let inner = Inner {
            commands,
            clock,
            view,
            project_tags: ProjectTags::new(query.clone(), config.tags_per_project_max as usize),
            query,
            metrics,
            past,
            config,
            defaults: Cache::new(REMEMBERED_MAX),
            experiments: Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(EXPERIMENT_SEEN_FOR).build(),
            runs: Cache::new(REMEMBERED_MAX),
            watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
            rooms: Rooms::default(),
        };
        Self { inner: Arc::new(inner), ingest: None }
    }

    /// Reads the read models. Ask [`App::settle`] first when the caller named a position.
    pub fn query(&self) -> &Query {
        &self.inner.query
    }

    /// Reads the points of metrics.
    pub fn metrics(&self) -> &Arc<dyn MetricStore> {
        &self.inner.metrics
    }

    /// How this service is set up.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The clock that everything here takes its time from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Waits until the position that the caller wants to have been seen has been.
    pub async fn settle(&self, call: &Call) -> Result<(), Refusal> {
        match call.after {
            Some(position) => self.reached(position, call.deadline).await,
            None => Ok(()),
        }
    }

    /// Points may be in a store that does not answer, which no change waits for: whoever reads them does.
    async fn reached(&self, position: Position, deadline: Instant) -> Result<(), Refusal> {
        Ok(self.inner.view.reached(position, deadline).await?)
    }

    /// Waits until points can be read that were logged before the call, whatever it has named besides.
    pub async fn settle_points(&self, call: &Call) -> Result<(), Refusal> {
        self.settle(call).await?;
        Ok(self.inner.metrics.reached(self.inner.view.position(), call.deadline).await?)
    }
}

impl From<SearchError> for Refusal {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Search(fault) => Self::of(&fault),
            SearchError::Query(fault) => fault.into(),
        }
    }
}
