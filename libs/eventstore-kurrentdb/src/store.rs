use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_eventstore::{
    AppendFault, Appending, Carried, Direction, EventStore, Filter, Page, ReadFault, Recorded, Retention, Snapshot,
    Write,
};
use cairn_eventstore_sqlite::{Config as CopyConfig, Sqlite};
use cairn_kernel::{Clock, Position, Revision, StreamName};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::info;
use uuid::Uuid;

use crate::entry::{self, OVERHEAD_BYTES};
use crate::fault::Fault;
use crate::follower::Follower;
use crate::link::Link;
use crate::primary::Stream;
use crate::{Config, OpenFault};

/// How often it is said how far a long log has been read at the start.
const PROGRESS: Duration = Duration::from_secs(5);

/// An event store in KurrentDB, as one process uses it.
pub struct Kurrent {
    copy: Sqlite,
    link: Arc<Link>,
    log: Uuid,
    following: AbortHandle,
    _held: Option<Box<dyn Any + Send + Sync>>,
}

impl Kurrent {
    /// Connects, begins the log if there is none, and reads what this process has not seen of it.
    pub async fn open(config: &Config, copy: &CopyConfig, clock: Arc<dyn Clock>) -> Result<Self, OpenFault> {
        let settings = config.settings().map_err(|why| OpenFault::Config(vec![why]))?;
        let link = Arc::new(Link::new(settings, config.stream.clone(), config.request_timeout()));
        let log = begun(&link).await?;
        let stream = Stream {
            link: Arc::clone(&link),
            log,
            runtime: Handle::current(),
            outage: config.outage(),
            append_bytes_max: config.append_bytes_max,
        };
        let events_max = (config.append_bytes_max / 2 / OVERHEAD_BYTES).max(1);
        let copy = CopyConfig {
            path: config.path.clone(),
            batch_events_max: copy.batch_events_max.min(events_max),
            ..copy.clone()
        };
        let copy = tokio::task::spawn_blocking(move || Sqlite::open_replica(&copy, clock, Box::new(stream))).await;
        let copy = copy.expect("opening a database does not panic")?;
        catch_up(&copy, &link).await?;
        let follower = Follower { link: Arc::clone(&link), feed: copy.feed(), pause: config.pause() };
        let following = tokio::spawn(follower.run()).abort_handle();
        Ok(Self { copy, link, log, following, _held: None })
    }

    /// Keeps something for as long as the store is open, such as the lock of what was made from it.
    #[must_use]
    pub fn holding(mut self, what: impl Any + Send + Sync) -> Self {
        self._held = Some(Box::new(what));
        self
    }

    /// Names the log, whoever has it open.
    pub fn log(&self) -> Uuid {
        self.log
    }
}

/// The log of the stream, which is begun if it is not there.
async fn begun(link: &Link) -> Result<Uuid, OpenFault> {
    loop {
        match link.log().await {
            Ok(Some(Ok(log))) => return Ok(log),
            Ok(Some(Err(why))) => return Err(foreign(link, why)),
            Ok(None) => match link.append(0, vec![entry::name(Uuid::new_v4())]).await {
                // Somebody else may have begun it: what is there counts.
                Ok(()) | Err(Fault::WrongRevision(_)) => {}
                Err(fault) => return Err(no_way_in(link, &fault)),
            },
            Err(fault) => return Err(no_way_in(link, &fault)),
        }
    }
}

/// Reads the log to its end.
async fn catch_up(copy: &Sqlite, link: &Link) -> Result<(), OpenFault> {
    let (feed, mut told) = (copy.feed(), Instant::now());
    let held = feed.held();
    let count = link.count().await.map_err(|fault| no_way_in(link, &fault))?;
    if count <= held {
        let why = format!("{held} of its entries were acknowledged, and {} are there", count.saturating_sub(1));
        return Err(OpenFault::Lost { place: link.place(), stream: link.stream().to_owned(), why });
    }
    check_last(copy, link, held).await?;
    loop {
        let from = feed.held();
        let entries = link.entries(from).await.map_err(|fault| no_way_in(link, &fault))?;
        if entries.is_empty() {
            return Ok(());
        }
        let count_read = from + entries.len() as u64;
        feed.follow(from, entries).await.map_err(|fault| foreign(link, fault.to_string()))?;
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            info!(read = count_read, of = count - 1, "reading the log from KurrentDB");
        }
    }
}

/// Sees that the last entry that is here is still the one that is there.
async fn check_last(copy: &Sqlite, link: &Link, held: u64) -> Result<(), OpenFault> {
    let Some(before) = held.checked_sub(1) else { return Ok(()) };
    let there = link.entries(before).await.map_err(|fault| no_way_in(link, &fault))?;
    let Some(cairn_eventstore_sqlite::Entry::Event(event)) = there.first() else { return Ok(()) };
    let end = *copy.head().borrow();
    if event.position == end {
        return Ok(());
    }
    let why = format!("entry {held} is at position {}, and it was at {end}", event.position);
    Err(OpenFault::Lost { place: link.place(), stream: link.stream().to_owned(), why })
}

fn no_way_in(link: &Link, fault: &Fault) -> OpenFault {
    let (place, stream) = (link.place(), link.stream().to_owned());
    match fault {
        Fault::Denied => OpenFault::AccessDenied { place, stream },
        Fault::Lost(why) => OpenFault::Lost { place, stream, why: why.clone() },
        Fault::Refused(why) => OpenFault::Foreign { place, stream, why: why.clone() },
        fault => OpenFault::Unreachable { place, why: fault.why() },
    }
}

fn foreign(link: &Link, why: String) -> OpenFault {
    OpenFault::Foreign { place: link.place(), stream: link.stream().to_owned(), why }
}

impl Drop for Kurrent {
    fn drop(&mut self) {
        self.following.abort();
    }
}

#[async_trait]
impl EventStore for Kurrent {
    fn append(&self, writes: Vec<Write>) -> Appending {
        self.copy.append(writes)
    }

    async fn read(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        self.copy.read(stream, from, direction, limit).await
    }

    async fn read_all(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        limit: usize,
    ) -> Result<Page, ReadFault> {
        self.copy.read_all(from, direction, filter, limit).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<Arc<Recorded>>, ReadFault> {
        self.copy.find(id).await
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.copy.head()
    }

    async fn retain(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
        self.copy.retain(stream, retention).await
    }

    async fn snapshot(&self, stream: &StreamName) -> Result<Option<Snapshot>, ReadFault> {
        self.copy.snapshot(stream).await
    }

    async fn keep_snapshot(&self, stream: &StreamName, snapshot: Snapshot) {
        self.copy.keep_snapshot(stream, snapshot).await;
    }

    fn trouble(&self) -> Option<AppendFault> {
        self.copy.trouble().or_else(|| self.link.trouble().map(AppendFault::Unavailable))
    }
}

#[async_trait]
impl Carried for Kurrent {
    async fn end(&self) -> Result<Position, ReadFault> {
        self.copy.end().await
    }

    async fn held(&self, after: Position, limit: usize) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        self.copy.held(after, limit).await
    }

    async fn retentions(&self) -> Result<Vec<(StreamName, Retention)>, ReadFault> {
        self.copy.retentions().await
    }

    async fn take_over(&self, events: Vec<Arc<Recorded>>) -> Result<(), AppendFault> {
        self.copy.take_over(events).await
    }

    async fn take_over_retention(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
        self.copy.take_over_retention(stream, retention).await
    }
}
