use std::time::Duration;

use async_trait::async_trait;
use cairn_kernel::{Code, Position};
use cairn_points::EngineFault;
use cairn_projection::{QueryFault, ReadModel, View, WaitFault};
use cairn_service::Refusal;
use rusqlite::{OptionalExtension, params};
use tokio::time::Instant;

use super::read::{Cursor, HistoryPage, by_step, history};
use super::sample::{Sample, thin_out};
use crate::model::RunName;

/// When to ask again for points that cannot be read now.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const UNAVAILABLE: &str = "the points of metrics cannot be read now, because the database that keeps them does not answer as it \
     should. All else works, and nothing that is logged is lost: it is there when the database is. Whoever operates this finds \
     the cause in the log of the process";

/// Where the points of metrics are read. Each backend feeds itself from the log, as a projection does.
#[async_trait]
pub trait MetricStore: Send + Sync + 'static {
    /// Waits until everything up to a position can be read.
    async fn reached(&self, position: Position, deadline: Instant) -> Result<(), MetricFault>;

    /// A metric's points by time, step and value, each once; after `after`, at most `limit` of them. A metric that was
    /// never logged has none.
    async fn history(
        &self,
        run: &RunName,
        metric: &str,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<HistoryPage, MetricFault>;

    /// A metric's points between two steps, thinned out to at most `points_max` with the extremes kept.
    async fn sample(
        &self,
        run: &RunName,
        metric: &str,
        steps: std::ops::RangeInclusive<i64>,
        points_max: usize,
    ) -> Result<Sample, MetricFault>;
}

/// Why points could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MetricFault {
    #[error(transparent)]
    Query(#[from] QueryFault),
    #[error(transparent)]
    Wait(#[from] WaitFault),
    /// The engine that keeps them elsewhere.
    #[error(transparent)]
    Engine(#[from] EngineFault),
    /// It answers, and has not everything yet.
    #[error("the store of metric points is at position {at}, not yet at {wanted}")]
    Behind { at: Position, wanted: Position },
}

impl From<MetricFault> for Refusal {
    fn from(fault: MetricFault) -> Self {
        let elsewhere = |reason, message: &str| Self::new(Code::Unavailable, reason, message).after(RETRY_AFTER);
        match fault {
            MetricFault::Query(fault) => fault.into(),
            MetricFault::Wait(fault) => fault.into(),
            MetricFault::Behind { at, wanted } => elsewhere(
                "METRIC_STORE_BEHIND",
                &format!("the store of metric points is at position {at} of the log, not yet at {wanted}"),
            ),
            MetricFault::Engine(EngineFault::Exhausted(why)) => elsewhere("POOL_EXHAUSTED", &why),
            // What the database said may name hosts: it is for those who operate this.
            MetricFault::Engine(fault) => {
                let mut refusal = elsewhere("METRIC_STORE_UNAVAILABLE", UNAVAILABLE);
                refusal.cause = Some(fault.to_string().into());
                refusal
            }
        }
    }
}

/// Points in the read model of this service, written with everything else in one transaction.
#[derive(Clone)]
pub struct SqliteMetrics {
    model: ReadModel,
    view: View,
}

impl SqliteMetrics {
    /// Over the tables that `view` writes.
    pub fn new(model: ReadModel, view: View) -> Self {
        Self { model, view }
    }

    async fn series<T, F>(&self, run: &RunName, metric: &str, read: F) -> Result<T, MetricFault>
    where
        T: Default + Send + 'static,
        F: FnOnce(&rusqlite::Connection, i64, i64) -> rusqlite::Result<T> + Send + 'static,
    {
        let (project, run, metric) = (run.project().to_owned(), run.run().to_owned(), metric.to_owned());
        let answer = self.model.query(move |db| {
            let found = db
                .prepare_cached(
                    "SELECT r.id, w.id FROM run r, word w WHERE r.project = ?1 AND r.run = ?2 AND w.text = ?3",
                )?
                .query_row(params![project, run, metric], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match found {
                Some((run, key)) => read(db, run, key),
                None => Ok(T::default()),
            }
        });
        Ok(answer.await?)
    }
}

#[async_trait]
impl MetricStore for SqliteMetrics {
    async fn reached(&self, position: Position, deadline: Instant) -> Result<(), MetricFault> {
        Ok(self.view.reached(position, deadline).await?)
    }

    async fn history(
        &self,
        run: &RunName,
        metric: &str,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<HistoryPage, MetricFault> {
        self.series(run, metric, move |db, run, key| history(db, run, key, after, limit)).await
    }

    async fn sample(
        &self,
        run: &RunName,
        metric: &str,
        steps: std::ops::RangeInclusive<i64>,
        points_max: usize,
    ) -> Result<Sample, MetricFault> {
        self.series(run, metric, move |db, run, key| Ok(thin_out(by_step(db, run, key, steps)?, points_max))).await
    }
}
