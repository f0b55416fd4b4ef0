use std::sync::Arc;

use async_trait::async_trait;
use cairn_kernel::{Clock, Position, Revision, StreamName, SystemClock};
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    AppendFault, Appending, Direction, EventStore, Filter, Log, Page, ReadFault, Recorded, Retention, Snapshot, Write,
    limits,
};

/// A log in memory, for tests. Grows without bound and forgets everything when the last clone is dropped.
#[derive(Clone)]
pub struct Memory {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    log: Mutex<Log>,
    head: watch::Sender<Position>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty log that runs on the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty log that takes its times from `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let inner = Inner { clock, log: Mutex::default(), head: watch::Sender::new(Position::START) };
        Self { inner: Arc::new(inner) }
    }
}

#[async_trait]
impl EventStore for Memory {
    fn append(&self, writes: Vec<Write>) -> Appending {
        let outcome = limits::check(&writes).and_then(|()| {
            let mut log = self.inner.log.lock();
            let appended = log.append(writes, self.inner.clock.now());
            // Under the lock, so that the head never runs backwards.
            self.inner.head.send_if_modified(|head| std::mem::replace(head, log.head()) != log.head());
            appended
        });
        futures::future::ready(outcome).boxed()
    }

    async fn read(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        Ok(self.inner.log.lock().read(stream, from, direction, limit, self.inner.clock.now()))
    }

    async fn read_all(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        limit: usize,
    ) -> Result<Page, ReadFault> {
        Ok(self.inner.log.lock().read_all(from, direction, filter, limit, self.inner.clock.now()))
    }

    async fn find(&self, id: Uuid) -> Result<Option<Arc<Recorded>>, ReadFault> {
        Ok(self.inner.log.lock().find(id))
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.inner.head.subscribe()
    }

    async fn retain(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
        self.inner.log.lock().retain(stream, retention);
        Ok(())
    }

    async fn snapshot(&self, stream: &StreamName) -> Result<Option<Snapshot>, ReadFault> {
        Ok(self.inner.log.lock().snapshot(stream))
    }

    async fn keep_snapshot(&self, stream: &StreamName, snapshot: Snapshot) {
        self.inner.log.lock().keep_snapshot(stream, snapshot);
    }

    fn trouble(&self) -> Option<AppendFault> {
        None
    }
}
