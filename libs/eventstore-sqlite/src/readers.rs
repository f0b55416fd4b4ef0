use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use cairn_eventstore::ReadFault;
use parking_lot::{Mutex, RwLock};
use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::fault::read_fault;
use crate::meters::Meters;
use crate::schema::open_reader;

/// A few connections that only read, opened when first needed.
pub(crate) struct Readers {
    path: PathBuf,
    cache_bytes: usize,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    /// Held while reading.
    gate: Arc<RwLock<()>>,
    meters: Meters,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, count: usize, cache_bytes: usize, gate: Arc<RwLock<()>>, meters: Meters) -> Self {
        Self { path, cache_bytes, idle: Mutex::default(), permits: Arc::new(Semaphore::new(count)), gate, meters }
    }

    /// Runs a query on a thread that may block. Queries are short: whoever reads much asks page by page, so that no
    /// reader keeps the write-ahead log from being moved into the database.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, ReadFault> + Send + 'static,
    ) -> Result<T, ReadFault> {
        let closed = |_| ReadFault::Unavailable("it is closed".to_owned());
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(closed)?;
        let readers = Arc::clone(self);
        let started = Instant::now();
        let task = spawn_blocking(move || {
            let outcome = readers.on_connection(query);
            drop(permit);
            readers.meters.read_seconds.record(started.elapsed());
            outcome
        });
        let outcome = task.await.map_err(|error| ReadFault::Unavailable(format!("a read broke off: {error}")))?;
        if matches!(outcome, Err(ReadFault::Damaged(_))) {
            self.meters.damaged_events.increment(1);
        }
        outcome
    }

    fn on_connection<T>(&self, query: impl FnOnce(&Connection) -> Result<T, ReadFault>) -> Result<T, ReadFault> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path, self.cache_bytes).map_err(|error| read_fault(&error))?,
        };
        let outcome = {
            let _reading = self.gate.read();
            query(&connection)
        };
        self.idle.lock().push(connection);
        outcome
    }

    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle.lock().clear();
    }
}
