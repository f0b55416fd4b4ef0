use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cairn_kernel::Position;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::{QueryFault, file, past};

/// After so many steps of SQLite's machine a query looks whether it is still wanted: about every tenth of a
/// millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// The connections that queries run on. Opened when first needed, at most as many as there are permits.
pub(crate) struct Readers {
    path: PathBuf,
    /// What a connection is told before its first query.
    prelude: String,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Reader>>,
    /// Counts how often the file was replaced by a new one: connections to an older one are not used again.
    generation: AtomicU64,
}

struct Reader {
    connection: Connection,
    generation: u64,
}

impl Readers {
    pub fn new(path: PathBuf, count: usize, prelude: String) -> Self {
        let permits = Arc::new(Semaphore::new(count.max(1)));
        Self { path, prelude, permits, idle: Mutex::default(), generation: AtomicU64::new(0) }
    }

    /// Runs a query on a thread for blocking work. Everything it reads is of one state of the file.
    ///
    /// A query ends when its caller stops waiting, so that abandoned ones do not use up the readers. `at`: the moment
    /// that a model of the past shows.
    pub async fn query<T, F>(self: Arc<Self>, at: Option<Position>, query: F) -> Result<T, QueryFault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| QueryFault::Stopping)?;
        let waiting = Waiting::default();
        let is_abandoned = waiting.0.clone();
        let work = move || {
            let _permit = permit;
            let mut reader = self.take()?;
            let look = move || is_abandoned.load(Ordering::Relaxed);
            reader.connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(look))?;
            if let Some(at) = at {
                past::show(&reader.connection, at)?;
            }
            let answer = reader.connection.transaction().and_then(|snapshot| query(&snapshot));
            reader.connection.progress_handler(0, None::<fn() -> bool>)?;
            self.idle.lock().push(reader);
            Ok(answer?)
        };
        let answer = tokio::task::spawn_blocking(work).await;
        answer.unwrap_or_else(|fault| match fault.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(QueryFault::Stopping),
        })
    }

    /// The file is a new one: no connection opened so far is used again.
    pub fn discard(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.idle.lock().clear();
    }

    fn take(&self) -> Result<Reader, rusqlite::Error> {
        let generation = self.generation.load(Ordering::SeqCst);
        let idle = self.idle.lock().pop();
        if let Some(reader) = idle.filter(|reader| reader.generation == generation) {
            return Ok(reader);
        }
        let connection = file::open_reader(&self.path)?;
        connection.execute_batch(&self.prelude)?;
        Ok(Reader { connection, generation })
    }
}

/// Tells the query when its caller goes away.
#[derive(Default)]
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
