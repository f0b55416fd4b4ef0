use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Instant;

use async_trait::async_trait;
use cairn_eventstore::{
    AppendFault, Appending, Direction, EventStore, Filter, Page, ReadFault, Recorded, Retention, Ring, Snapshot,
    WaitingSnapshots, Write, limits,
};
use cairn_kernel::{Clock, Position, Revision, StreamName};
use futures::FutureExt;
use futures::future::ready;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::lock::FolderLock;
use crate::meters::Meters;
use crate::names::Names;
use crate::query::{self, Dictionary, LogQuery};
use crate::queue::{Job, Queue};
use crate::readers::Readers;
use crate::schema::open_writer;
use crate::writer::{LostDisk, Replica, Shared, Writer, end_process, last_event, replicated};
use crate::{Config, Feed, OpenFault, Primary};

/// An event store in one SQLite database.
///
/// Dropping it lets the writer finish what it accepted, and waits for that.
pub struct Sqlite {
    pub(crate) shared: Arc<Shared>,
    pub(crate) readers: Arc<Readers>,
    thread: Option<JoinHandle<()>>,
}

impl Sqlite {
    /// Opens or creates the database. Blocks shortly.
    pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, OpenFault> {
        Self::open_with(config, clock, Box::new(end_process))
    }

    /// Opens or creates a copy of a log elsewhere: whatever is appended to it is appended there first.
    ///
    /// What others append there is to be told to its [`Feed`].
    pub fn open_replica(config: &Config, clock: Arc<dyn Clock>, primary: Box<dyn Primary>) -> Result<Self, OpenFault> {
        Self::open_as(config, clock, Some(primary), Box::new(end_process))
    }

    /// Like [`Sqlite::open`], for tests of what happens when the disk fails to keep what it was given: calls
    /// `on_lost_disk` instead of ending the process. The store serves no appends afterwards.
    pub fn open_with(config: &Config, clock: Arc<dyn Clock>, on_lost_disk: LostDisk) -> Result<Self, OpenFault> {
        Self::open_as(config, clock, None, on_lost_disk)
    }

    fn open_as(
        config: &Config,
        clock: Arc<dyn Clock>,
        primary: Option<Box<dyn Primary>>,
        on_lost_disk: LostDisk,
    ) -> Result<Self, OpenFault> {
        config.validate().map_err(OpenFault::Config)?;
        let lock = FolderLock::take(&config.path)?;
        let connection = open_writer(config)?;
        let failed = |source| OpenFault::Sqlite { path: config.path.clone(), source };
        let (head, _) = last_event(&connection).map_err(failed)?;
        let replica = replica(config, &connection, primary)?;
        let meters = Meters::new();
        meters.head_position.set(head as f64);
        let shared = Arc::new(Shared {
            queue: Queue::new(config.waiting_appends_max, config.waiting_bytes_max, meters.clone()),
            ring: Ring::new(Position(head), config.ring_events_max, config.ring_bytes_max),
            dictionary: Dictionary {
                kinds: Names::load("kinds", &connection).map_err(failed)?,
                categories: Names::load("categories", &connection).map_err(failed)?,
            },
            snapshots: WaitingSnapshots::new(config.waiting_snapshots_bytes_max),
            gate: Arc::default(),
            trouble: Mutex::new(None),
            held: AtomicU64::new(replica.as_ref().map_or(0, Replica::held)),
            clock,
            meters: meters.clone(),
        });
        let writer = Writer::new(config, Arc::clone(&shared), connection, lock, replica, on_lost_disk)?;
        let thread = std::thread::Builder::new().name("eventstore-writer".into()).spawn(|| writer.run());
        let thread = thread.map_err(|source| OpenFault::Io { path: config.path.clone(), source })?;
        let gate = Arc::clone(&shared.gate);
        let readers = Readers::new(config.path.clone(), config.readers, config.reader_cache_bytes, gate, meters);
        Ok(Self { shared, readers: Arc::new(readers), thread: Some(thread) })
    }

    /// Where a copy is told what others append to its primary log.
    pub fn feed(&self) -> Feed {
        Feed { shared: Arc::clone(&self.shared) }
    }
}

/// What a database is opened as. A copy is no log of its own, and a log is no copy.
fn replica(
    config: &Config,
    connection: &Connection,
    primary: Option<Box<dyn Primary>>,
) -> Result<Option<Replica>, OpenFault> {
    let failed = |source| OpenFault::Sqlite { path: config.path.clone(), source };
    let path = || config.path.clone();
    match primary {
        None => match replicated(connection).map_err(failed)? {
            Some((log, _)) => Err(OpenFault::Replica { path: path(), log }),
            None => Ok(None),
        },
        Some(primary) => {
            let log = primary.log();
            let opened = Replica::open(primary, connection).map_err(failed)?;
            opened.map(Some).map_err(|found| OpenFault::OtherLog { path: path(), log, found })
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.readers.close();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has said so already.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl EventStore for Sqlite {
    fn append(&self, writes: Vec<Write>) -> Appending {
        if let Err(fault) = limits::check(&writes) {
            return ready(Err(fault)).boxed();
        }
        let events = writes.iter().map(|write| write.events.len()).sum();
        let bytes =
            writes.iter().flat_map(|write| &write.events).map(|event| event.payload.len() + event.metadata.len());
        let bytes = bytes.sum();
        let (answer, answered) = oneshot::channel();
        let job = Job::Append { writes, events, bytes, queued: Instant::now(), answer };
        if let Err(fault) = self.shared.queue.push(job) {
            return ready(Err(fault)).boxed();
        }
        answered.map(|outcome| outcome.unwrap_or_else(|_| Err(stopped()))).boxed()
    }

    async fn read(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        let (shared, stream) = (Arc::clone(&self.shared), stream.clone());
        let read = move |connection: &_| {
            let now = shared.clock.now();
            let events = query::stream(connection, &shared.dictionary, &stream, from, direction, limit, now)?;
            shared.meters.read_events.increment(events.len() as u64);
            Ok(events)
        };
        self.readers.run(read).await
    }

    async fn read_all(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        limit: usize,
    ) -> Result<Page, ReadFault> {
        if direction == Direction::Forwards
            && let Some(page) = self.shared.ring.page(from, filter, limit)
        {
            return Ok(page);
        }
        let (shared, filter) = (Arc::clone(&self.shared), filter.clone());
        let read = move |connection: &_| {
            // The head first: whatever is committed after it may bring names that are not in the dictionary yet.
            let (head, now) = (shared.ring.head(), Some(shared.clock.now()));
            let query = LogQuery { connection, dictionary: &shared.dictionary, filter: &filter, head, now };
            let page = query.page(from, direction, limit)?;
            shared.meters.read_events.increment(page.events.len() as u64);
            Ok(page)
        };
        self.readers.run(read).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<Arc<Recorded>>, ReadFault> {
        let shared = Arc::clone(&self.shared);
        self.readers.run(move |connection| query::find(connection, &shared.dictionary, id)).await
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.shared.ring.watch()
    }

    async fn retain(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
        let (answer, answered) = oneshot::channel();
        self.shared.queue.push(Job::Retain { stream: stream.clone(), retention, answer })?;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn snapshot(&self, stream: &StreamName) -> Result<Option<Snapshot>, ReadFault> {
        let stream = stream.clone();
        let waiting = self.shared.snapshots.get(&stream);
        match waiting {
            Some(waiting) => Ok(Some(waiting)),
            None => self.readers.run(move |connection| query::snapshot(connection, &stream)).await,
        }
    }

    async fn keep_snapshot(&self, stream: &StreamName, snapshot: Snapshot) {
        if self.shared.snapshots.add(stream, snapshot) {
            self.shared.queue.poke();
        } else {
            self.shared.meters.dropped_snapshots.increment(1);
        }
    }

    fn trouble(&self) -> Option<AppendFault> {
        self.shared.trouble.lock().clone()
    }
}

pub(crate) fn stopped() -> AppendFault {
    AppendFault::Unavailable("it stopped before the append was answered".into())
}
