use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use cairn_eventstore::{
    AppendFault, Appended, Appending, Direction, EventStore, Filter, Log, Page, ReadFault, Recorded, Retention,
    Snapshot, Write, limits,
};
use cairn_kernel::{Clock, Position, Revision, StreamName};
use futures::FutureExt;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::file::LogFile;
use crate::line::Readable;
use crate::writer::{Job, Writer};
use crate::{Config, OpenFault};

/// How long whoever finds no room should wait.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// A log in a file of JSON Lines.
pub struct Jsonl {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    waiting_bytes_max: usize,
    jobs: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
}

/// What readers and the writer have in common.
pub(crate) struct Shared {
    /// What is synced.
    log: RwLock<Log>,
    head: watch::Sender<Position>,
    trouble: Mutex<Option<AppendFault>>,
    waiting_bytes: AtomicUsize,
}

impl Jsonl {
    /// Opens the file, or makes it, and reads all of it.
    pub fn open(config: &Config, clock: Arc<dyn Clock>, readable: Readable) -> Result<Self, OpenFault> {
        let (file, log) = LogFile::open(&config.path)?;
        let shared = Arc::new(Shared {
            head: watch::Sender::new(log.head()),
            log: RwLock::new(log.clone()),
            trouble: Mutex::default(),
            waiting_bytes: AtomicUsize::new(0),
        });
        let (jobs, waiting) = sync_channel(config.waiting_appends_max);
        let writer = Writer {
            file,
            ahead: log,
            shared: Arc::clone(&shared),
            clock: Arc::clone(&clock),
            readable,
            bytes_max: config.bytes_max,
            batch_max: config.batch_appends_max,
        };
        let thread = std::thread::Builder::new().name("cairn-jsonl".to_owned()).spawn(move || writer.run(&waiting));
        let thread = thread.map_err(|source| OpenFault::Io { path: config.path.clone(), source })?;
        let waiting_bytes_max = config.waiting_bytes_max;
        Ok(Self { shared, clock, waiting_bytes_max, jobs: Some(jobs), writer: Some(thread) })
    }

    fn queue(&self, job: Job) -> Result<(), AppendFault> {
        let Some(jobs) = &self.jobs else { return Err(stopped()) };
        jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => AppendFault::Busy { retry_after: RETRY_AFTER },
            TrySendError::Disconnected(_) => stopped(),
        })
    }

    fn queue_append(
        &self,
        writes: Vec<Write>,
    ) -> Result<oneshot::Receiver<Result<Appended, AppendFault>>, AppendFault> {
        limits::check(&writes)?;
        let events = writes.iter().flat_map(|write| &write.events);
        let bytes = events.map(|event| event.payload.len() + event.metadata.len()).sum();
        self.shared.enter(bytes, self.waiting_bytes_max)?;
        let (answer, answered) = oneshot::channel();
        self.queue(Job::Append { writes, bytes, answer }).inspect_err(|_| self.shared.leave(bytes))?;
        Ok(answered)
    }
}

/// Waits until the writer is done, so that the file can be opened again.
impl Drop for Jsonl {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
    }
}

impl Shared {
    /// Shows what is synced.
    pub(crate) fn show(&self, ahead: &Log, retained: Vec<(StreamName, Retention)>) {
        let mut log = self.log.write();
        for event in ahead.after(log.head()) {
            log.push(Arc::clone(event));
        }
        for (stream, retention) in retained {
            log.retain(&stream, retention);
        }
        let shown = log.head();
        // Under the lock, so that the head never runs ahead of what can be read.
        self.head.send_if_modified(|head| std::mem::replace(head, shown) != shown);
    }

    pub(crate) fn shown(&self) -> Log {
        self.log.read().clone()
    }

    pub(crate) fn trouble(&self) -> Option<AppendFault> {
        self.trouble.lock().clone()
    }

    /// Nothing more is appended until the file is opened again.
    pub(crate) fn fail(&self, trouble: AppendFault) {
        *self.trouble.lock() = Some(trouble);
    }

    /// Takes room in the queue. One append always finds room in an empty one.
    fn enter(&self, bytes: usize, bytes_max: usize) -> Result<(), AppendFault> {
        let entered = self.waiting_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting == 0 || waiting + bytes <= bytes_max).then_some(waiting + bytes)
        });
        entered.map(drop).map_err(|_| AppendFault::Busy { retry_after: RETRY_AFTER })
    }

    pub(crate) fn leave(&self, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn stopped() -> AppendFault {
    AppendFault::Unavailable("its writer has stopped".to_owned())
}

#[async_trait]
impl EventStore for Jsonl {
    fn append(&self, writes: Vec<Write>) -> Appending {
        match self.queue_append(writes) {
            Ok(answered) => async move { answered.await.unwrap_or_else(|_| Err(stopped())) }.boxed(),
            Err(fault) => futures::future::ready(Err(fault)).boxed(),
        }
    }

    async fn read(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        Ok(self.shared.log.read().read(stream, from, direction, limit, self.clock.now()))
    }

    async fn read_all(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        limit: usize,
    ) -> Result<Page, ReadFault> {
        Ok(self.shared.log.read().read_all(from, direction, filter, limit, self.clock.now()))
    }

    async fn find(&self, id: Uuid) -> Result<Option<Arc<Recorded>>, ReadFault> {
        Ok(self.shared.log.read().find(id))
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.shared.head.subscribe()
    }

    async fn retain(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
        let (answer, answered) = oneshot::channel();
        self.queue(Job::Retain { stream: stream.clone(), retention, answer })?;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn snapshot(&self, stream: &StreamName) -> Result<Option<Snapshot>, ReadFault> {
        Ok(self.shared.log.read().snapshot(stream))
    }

    async fn keep_snapshot(&self, stream: &StreamName, snapshot: Snapshot) {
        self.shared.log.write().keep_snapshot(stream, snapshot);
    }

    fn trouble(&self) -> Option<AppendFault> {
        self.shared.trouble()
    }
}
