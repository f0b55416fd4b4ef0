use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cairn_eventstore::{
    AppendFault, Appending, Direction, EventStore, Filter, Page, ReadFault, Recorded, Retention, Ring, Snapshot,
    WaitingSnapshots, Write, limits,
};
use cairn_kernel::{Clock, Position, Revision, StreamName};
use cairn_postgres::{Dialer, Link, Size, said};
use futures::FutureExt;
use futures::future::ready;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use uuid::Uuid;

use crate::fault::no_way_in;
use crate::house::House;
use crate::meters::Meters;
use crate::pool::Pool;
use crate::queue::{Job, Queue};
use crate::tables::Statements;
use crate::watch::Watch;
use crate::writer::{Identity, Writer};
use crate::{Config, OpenFault, query, schema};

/// Longest stream name, in bytes: what an index can hold, and more than names of ours have.
const STREAM_BYTES_MAX: usize = 2_000;

/// What the tasks of one store share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) sql: Arc<Statements>,
    pub(crate) queue: Queue,
    pub(crate) pool: Pool,
    pub(crate) ring: Ring,
    pub(crate) snapshots: WaitingSnapshots,
    pub(crate) trouble: Mutex<Option<AppendFault>>,
    pub(crate) housework: Notify,
    pub(crate) closing: watch::Sender<bool>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) meters: Meters,
}

/// An event store in PostgreSQL, as one process uses it.
///
/// Dropping it lets the writer finish what it accepted, as long as the runtime goes on.
pub struct Postgres {
    pub(crate) shared: Arc<Shared>,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) identity: Identity,
    _held: Option<Box<dyn Any + Send + Sync>>,
}

impl Postgres {
    /// Connects, makes the tables if they are not there, and starts this process's writer. Fails within seconds.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, OpenFault> {
        config.validate().map_err(OpenFault::Config)?;
        let patience = Duration::from_millis(config.connect_timeout_ms);
        let dialer = |url: &str| Dialer::new(url, patience).map_err(|problem| OpenFault::Config(vec![problem]));
        let (url, direct) = (config.url.expose(), config.direct_url.expose());
        let dialing = Arc::new(dialer(url)?);
        let listener = match direct {
            "" if dialing.is_pooled() => None,
            "" => Some(dialer(url)?),
            direct => Some(dialer(direct)?),
        };
        let place = dialing.place();
        let link = dialing.dial_patiently().await.map_err(|fault| no_way_in(fault, place.clone()))?;
        let sql = Arc::new(Statements::new(&config.schema, config.statement_timeout().as_millis()));
        let is_timed = schema::prepare(&link, &config.schema, &place).await?;
        let (identity, position, retentions) =
            head(&link, &sql, dialing.is_pooled()).await.map_err(|why| OpenFault::Failed { place, why })?;
        let meters = Meters::new();
        meters.head_position.set(position.0 as f64);
        let size = Size {
            kept: config.connections_max,
            overflow: 0,
            acquire: Duration::from_millis(config.acquire_timeout_ms),
            statement: config.statement_timeout(),
        };
        let pool = Pool::new(Arc::clone(&dialing), size, &meters);
        let shared = Arc::new(Shared {
            sql,
            queue: Queue::new(config.waiting_appends_max, config.waiting_bytes_max, meters.clone()),
            pool,
            ring: Ring::new(position, config.ring_events_max, config.ring_bytes_max),
            snapshots: WaitingSnapshots::new(config.waiting_snapshots_bytes_max),
            trouble: Mutex::new(None),
            housework: Notify::new(),
            closing: watch::Sender::new(false),
            config: config.clone(),
            clock,
            meters,
        });
        tokio::spawn(Writer::new(Arc::clone(&shared), Arc::clone(&dialing), link, identity, !is_timed).run());
        tokio::spawn(Watch { shared: Arc::clone(&shared), listener, retentions, store: identity.store }.run());
        tokio::spawn(House { shared: Arc::clone(&shared) }.run());
        Ok(Self { shared, dialer: dialing, identity, _held: None })
    }

    /// Names the log, whoever has it open and wherever it is moved.
    pub fn log(&self) -> Uuid {
        self.identity.log
    }

    /// Keeps something for as long as the store is open, such as the lock of what was made from it.
    #[must_use]
    pub fn holding(mut self, what: impl Any + Send + Sync) -> Self {
        self._held = Some(Box::new(what));
        self
    }

    fn queue_append(&self, writes: Vec<Write>) -> Result<oneshot::Receiver<AppendOutcome>, AppendFault> {
        limits::check(&writes)?;
        check_texts(&writes)?;
        let events = writes.iter().flat_map(|write| &write.events);
        let (count, bytes) = events
            .fold((0, 0), |(count, bytes), event| (count + 1, bytes + event.payload.len() + event.metadata.len()));
        let (answer, answered) = oneshot::channel();
        self.shared.queue.push(Job::Append { writes, events: count, bytes, queued: Instant::now(), answer })?;
        Ok(answered)
    }
}

type AppendOutcome = Result<cairn_eventstore::Appended, AppendFault>;

/// Which log it is, where it ends, and how often what is kept was changed.
async fn head(link: &Link, sql: &Statements, is_pooled: bool) -> Result<(Identity, Position, i64), String> {
    let row = link.query_typed_one(&sql.end, &[]).await.map_err(|error| said(&error))?;
    // The server names this store among its fellows.
    let named = link.query_typed_one("SELECT gen_random_uuid()", &[]).await.map_err(|error| said(&error))?;
    let read = || -> Result<_, tokio_postgres::Error> {
        Ok((row.try_get::<_, &str>(0)?, named.try_get(0)?, row.try_get::<_, i64>(2)?, row.try_get(6)?))
    };
    let (log, store, position, retentions) = read().map_err(|error| said(&error))?;
    let log = log.parse().map_err(|_| "the log has no name")?;
    Ok((Identity { log, store, is_pooled }, Position(position.unsigned_abs()), retentions))
}

/// Refuses what PostgreSQL cannot hold as text. One such name would fail the whole batch that it is in.
fn check_texts(writes: &[Write]) -> Result<(), AppendFault> {
    for write in writes {
        check_name(&write.stream)?;
        if let Some(event) = write.events.iter().find(|event| event.kind.contains('\0')) {
            return Err(AppendFault::Invalid(format!("the type of event {} has a zero byte in it", event.id)));
        }
    }
    Ok(())
}

pub(crate) fn check_name(stream: &StreamName) -> Result<(), AppendFault> {
    let name = stream.as_str();
    if name.contains('\0') {
        return Err(AppendFault::Invalid("a stream's name has a zero byte in it".to_owned()));
    }
    if name.len() > STREAM_BYTES_MAX {
        let bytes = name.len();
        return Err(AppendFault::Invalid(format!("a stream's name has {bytes} bytes, at most {STREAM_BYTES_MAX}")));
    }
    Ok(())
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.shared.closing.send_replace(true);
    }
}

fn stopped() -> AppendFault {
    AppendFault::Unavailable("it stopped before the append was answered".into())
}

#[async_trait]
impl EventStore for Postgres {
    fn append(&self, writes: Vec<Write>) -> Appending {
        match self.queue_append(writes) {
            Ok(answered) => answered.map(|outcome| outcome.unwrap_or_else(|_| Err(stopped()))).boxed(),
            Err(fault) => ready(Err(fault)).boxed(),
        }
    }

    async fn read(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        let Shared { pool, sql, clock, meters, .. } = &*self.shared;
        // No stream has such a name, and the database would not understand it.
        if check_name(stream).is_err() {
            return Ok(vec![]);
        }
        let events = query::stream(pool, sql, stream, from, direction, limit, clock.now()).await?;
        meters.read_events.increment(events.len() as u64);
        Ok(events)
    }

    async fn read_all(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        limit: usize,
    ) -> Result<Page, ReadFault> {
        let Shared { pool, sql, ring, clock, meters, .. } = &*self.shared;
        if direction == Direction::Forwards
            && let Some(page) = ring.page(from, filter, limit)
        {
            return Ok(page);
        }
        // Up to the head that was told: nobody reads beyond what he was told of.
        let page = query::log(pool, sql, filter, (from, direction, limit), ring.head(), clock.now()).await?;
        meters.read_events.increment(page.events.len() as u64);
        Ok(page)
    }

    async fn find(&self, id: Uuid) -> Result<Option<Arc<Recorded>>, ReadFault> {
        query::find(&self.shared.pool, &self.shared.sql, id).await
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.shared.ring.watch()
    }

    async fn retain(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
        check_name(stream)?;
        let (answer, answered) = oneshot::channel();
        self.shared.queue.push(Job::Retain { stream: stream.clone(), retention, answer })?;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn snapshot(&self, stream: &StreamName) -> Result<Option<Snapshot>, ReadFault> {
        match self.shared.snapshots.get(stream) {
            Some(waiting) => Ok(Some(waiting)),
            None if check_name(stream).is_err() => Ok(None),
            None => query::snapshot(&self.shared.pool, &self.shared.sql, stream).await,
        }
    }

    async fn keep_snapshot(&self, stream: &StreamName, snapshot: Snapshot) {
        if self.shared.snapshots.add(stream, snapshot) {
            self.shared.housework.notify_one();
        } else {
            self.shared.meters.dropped_snapshots.increment(1);
        }
    }

    fn trouble(&self) -> Option<AppendFault> {
        self.shared.trouble.lock().clone()
    }
}
