use std::ops::RangeInclusive;

use async_trait::async_trait;
use cairn_kernel::{Position, Time};
use uuid::Uuid;

use crate::Row;

/// How far in the log what is stored reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    pub position: Position,
    /// The event at that position, so that another log is recognised. `None`: none was stored yet, or it is not known.
    pub event: Option<Uuid>,
    /// When that event was accepted.
    pub time: Time,
}

/// The points of one event.
#[derive(Clone, Debug)]
pub struct Entry {
    pub project: String,
    /// The run's id.
    pub run: String,
    pub position: Position,
    pub event: Uuid,
    /// When the event was accepted. Never runs backwards along positions.
    pub time: Time,
    pub metrics: Vec<String>,
    /// Each with the index of its metric.
    pub points: Vec<(u32, Row)>,
}

/// What one write stores. Its entries are in the order of the log, and not empty of points.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub from: Checkpoint,
    pub entries: Vec<Entry>,
    /// Everything up to here is in it, or has no points.
    pub to: Checkpoint,
}

/// The right to write, until somebody else takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure(pub u64);

/// Names one metric of one run.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    pub project: &'a str,
    pub run: &'a str,
    pub metric: &'a str,
}

/// Why an engine did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineFault {
    /// It cannot be reached, does not answer, or could not do it now. May be otherwise in a moment.
    #[error("{0}")]
    Away(String),
    /// All connections to it were in use for too long.
    #[error("{0}")]
    Exhausted(String),
    /// Somebody has to change something first.
    #[error("{0}")]
    Unsuitable(String),
    /// Another process has taken over.
    #[error("another process writes the points now")]
    Fenced,
}

/// A database that keeps points.
///
/// INVARIANT: what [`write`](Self::write) was given is stored exactly once, with its checkpoint, whatever ends in the middle
/// of it: [`take_over`](Self::take_over) finds out how far the last one has come, and afterwards nothing arrives any more from
/// whoever wrote before.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// What it is: `PostgreSQL`.
    fn kind(&self) -> &'static str;

    /// What it is, who one is there, and where, for those who operate it: without a password.
    fn place(&self) -> String;

    /// Makes what it needs, if that is not there.
    async fn prepare(&self) -> Result<(), EngineFault>;

    /// How far what is stored reaches, at least.
    async fn checkpoint(&self) -> Result<Checkpoint, EngineFault>;

    /// Makes the caller the one who writes, and says where to go on.
    async fn take_over(&self) -> Result<(Tenure, Checkpoint), EngineFault>;

    /// Stores points and moves the checkpoint. After a failure it is not known how much of it was stored: the tenure is over.
    async fn write(&self, tenure: Tenure, batch: &Batch) -> Result<(), EngineFault>;

    /// Points of a series in the order of a history, after `after`; at most `limit`, and fewer only if there are no more. What
    /// was logged several times may be there several times, side by side.
    async fn history(&self, series: Series<'_>, after: Option<Row>, limit: usize) -> Result<Vec<Row>, EngineFault>;

    /// All points of a series within some steps, by step, time and value. The same goes for what was logged several times.
    async fn by_step(&self, series: Series<'_>, steps: RangeInclusive<i64>) -> Result<Vec<Row>, EngineFault>;
}
