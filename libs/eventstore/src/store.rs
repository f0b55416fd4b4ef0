use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_kernel::{Expected, Position, Revision, StreamName};
use futures::future::BoxFuture;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{AppendFault, Filter, NewEvent, ReadFault, Recorded};

/// Events for one stream, and what the appender believes about it.
///
/// Without events it only asserts the expectation, as part of a larger atomic append.
#[derive(Clone, Debug)]
pub struct Write {
    pub stream: StreamName,
    pub expected: Expected,
    /// When given, the stream's last event must be this very one.
    ///
    /// For an append that is sent before the one it builds on was answered: if that one fails and somebody else's event
    /// takes its place, the revision alone would match and the decision would stand on a state that never was.
    pub follows: Option<Uuid>,
    pub events: Vec<NewEvent>,
}

impl Write {
    /// Appends `events` to `stream` if it is as `expected`.
    pub fn new(stream: StreamName, expected: Expected, events: Vec<NewEvent>) -> Self {
        Self { stream, expected, follows: None, events }
    }
}

/// Where an append ended up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Position of the last event appended; for an append of nothing, the head of the log.
    pub position: Position,
    /// Last revision of each stream, in the order of the writes. `None`: the stream has no events.
    pub revisions: Vec<Option<Revision>>,
    /// Whether every event was in the log already, so that nothing was appended.
    pub is_repeat: bool,
}

/// An append on its way. Already queued: dropping it does not take it back.
pub type Appending = BoxFuture<'static, Result<Appended, AppendFault>>;

/// Which way to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forwards,
    Backwards,
}

/// A stretch of the whole log.
#[derive(Clone, Debug)]
pub struct Page {
    pub events: Vec<Arc<Recorded>>,
    /// Every event up to here was considered: where to go on from, even if the filter wanted none of them.
    pub considered: Position,
    /// Whether the end of the log (or its start, backwards) was reached.
    pub is_end: bool,
}

/// How long a stream's events are shown. Whatever is older or beyond the count is no longer read, and may be removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    pub max_age: Option<Duration>,
    pub max_count: Option<u64>,
}

/// A folded state, kept so that loading need not start from nothing. A cache: it may vanish at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub revision: Revision,
    /// Names the shape of `state`; another shape is not read.
    pub schema: String,
    pub state: Bytes,
}

/// An append-only log of events in streams, with one total order.
///
/// INVARIANT: positions are given out without gaps, and a reader that has seen position `n` has been able to see every
/// position before it.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Appends to several streams at once, or to none of them.
    ///
    /// Takes its place in the writer's queue before it returns, so two calls by one caller keep their order. The
    /// future is ready once the events are durable. Repeating it with the same event ids is safe: nothing is appended
    /// and the answer is the first one's.
    fn append(&self, writes: Vec<Write>) -> Appending;

    /// Events of one stream from a revision (included), at most `limit`. A stream never written to has none.
    async fn read(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, ReadFault>;

    /// Events of the whole log after (backwards: before) a position, which itself is excluded.
    async fn read_all(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        limit: usize,
    ) -> Result<Page, ReadFault>;

    /// The first event appended under this id, on whatever stream. One index lookup.
    async fn find(&self, id: Uuid) -> Result<Option<Arc<Recorded>>, ReadFault>;

    /// Position of the last durable event, and notice of each change.
    fn head(&self) -> watch::Receiver<Position>;

    /// Limits what is kept of a stream from now on.
    async fn retain(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault>;

    /// The newest snapshot of a stream, if one is kept.
    async fn snapshot(&self, stream: &StreamName) -> Result<Option<Snapshot>, ReadFault>;

    /// Keeps a snapshot, replacing an older one. May be dropped under pressure; never delays an append.
    async fn keep_snapshot(&self, stream: &StreamName, snapshot: Snapshot);

    /// Whether appends can succeed now: `None`, or why not.
    fn trouble(&self) -> Option<AppendFault>;
}
