use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_kernel::Position;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::watch;

use crate::catalog::{self, AdoptFault, Checkpoint};
use crate::definition::Definition;
use crate::file::{self, Trouble, trouble};
use crate::readers::Readers;

/// Why a read model could not be opened or queried.
#[derive(Debug, thiserror::Error)]
pub enum QueryFault {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error("the read model is stopping")]
    Stopping,
    #[error("the folder {path} cannot be used: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("the thread of a view cannot be started: {0}")]
    Thread(String),
    /// A mistake in the program: two views of one file claim the same thing.
    #[error("{0}")]
    Conflict(String),
}

/// The tables of one service: a file with one writer and several readers. Cheap to clone.
#[derive(Clone)]
pub struct ReadModel {
    inner: Arc<Inner>,
    /// The moment that queries see; `None`: whatever is there.
    at: Option<Position>,
}

struct Inner {
    path: PathBuf,
    writer: Mutex<Writer>,
    readers: Arc<Readers>,
    /// Counts how often the file had to be made anew.
    generation: watch::Sender<u64>,
}

/// The one connection that writes. The views of the file take turns on it.
pub(crate) struct Writer {
    path: PathBuf,
    /// `None` after the file was found corrupt, until a new one could be made.
    connection: Option<Connection>,
    /// The views that follow the log now.
    running: BTreeMap<&'static str, Definition>,
}

impl ReadModel {
    /// Opens or creates the file with room for `readers` concurrent queries.
    ///
    /// A file that SQLite cannot read is replaced by an empty one: views read the log again.
    pub fn open(path: &Path, readers: usize) -> Result<Self, QueryFault> {
        Self::open_with(path, readers, String::new())
    }

    /// The same, with what each reader's connection is told before its first query.
    pub(crate) fn open_with(path: &Path, readers: usize, prelude: String) -> Result<Self, QueryFault> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| QueryFault::Folder { path: folder.to_owned(), source })?;
        }
        let mut writer = Writer { path: path.to_owned(), connection: None, running: BTreeMap::new() };
        match writer.connection() {
            Ok(_) => {}
            Err(fault) if trouble(&fault) == Trouble::Corrupt => {
                tracing::warn!(path = %path.display(), %fault, "read model is corrupt and starts from nothing");
                writer.remove()?;
                writer.connection()?;
            }
            Err(fault) => return Err(fault.into()),
        }
        let inner = Inner {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Arc::new(Readers::new(path.to_owned(), readers, prelude)),
            generation: watch::Sender::new(0),
        };
        Ok(Self { inner: Arc::new(inner), at: None })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs a query on a reader's connection, off the async threads. Bounded: waits for a free reader.
    ///
    /// All that one query reads is of one moment. A query whose caller stopped waiting is given up.
    pub async fn query<T, F>(&self, query: F) -> Result<T, QueryFault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        self.inner.readers.clone().query(self.at, query).await
    }

    /// The tables of a past, as they were at a position.
    pub(crate) fn at(&self, position: Position) -> Self {
        Self { inner: Arc::clone(&self.inner), at: Some(position) }
    }

    /// Registers a view and finds or creates its tables.
    pub(crate) fn adopt(&self, definition: &Definition) -> Result<Checkpoint, QueryFault> {
        let mut writer = self.writer();
        if writer.running.contains_key(definition.name) {
            return Err(QueryFault::Conflict(format!("view {} runs already on this file", definition.name)));
        }
        let checkpoint = writer.adopt(definition)?;
        writer.running.insert(definition.name, definition.clone());
        Ok(checkpoint)
    }

    /// Forgets a view that follows the log no longer. Its tables stay.
    pub(crate) fn release(&self, view: &'static str) {
        self.writer().running.remove(view);
    }

    /// Takes the writer's connection. Hand it back with [`MutexGuard::unlock_fair`], so that views take turns.
    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.inner.writer.lock()
    }

    /// Which making of the file this is, and notice of the next.
    pub(crate) fn generation(&self) -> watch::Receiver<u64> {
        self.inner.generation.subscribe()
    }

    /// Replaces a corrupt file by an empty one with the tables of all running views, unless another view has done so
    /// since `generation` was last looked at.
    pub(crate) fn start_over(&self, generation: &watch::Receiver<u64>) -> Result<(), QueryFault> {
        let mut writer = self.writer();
        if !generation.has_changed().unwrap_or(false) {
            writer.remove()?;
            for definition in writer.running.clone().values() {
                writer.adopt(definition)?;
            }
            self.inner.readers.discard();
            self.inner.generation.send_modify(|generation| *generation += 1);
        }
        Ok(())
    }
}

impl Writer {
    /// The connection, opened if need be.
    pub fn connection(&mut self) -> Result<&mut Connection, rusqlite::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = file::open_writer(&self.path)?;
                catalog::create(&connection)?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    fn adopt(&mut self, definition: &Definition) -> Result<Checkpoint, QueryFault> {
        let running: Vec<_> = self.running.keys().copied().collect();
        let tx = self.connection()?.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let adopted = catalog::adopt(&tx, definition, |view| running.contains(&view));
        let checkpoint = adopted.map_err(|fault| match fault {
            AdoptFault::Sql(fault) => QueryFault::Sql(fault),
            fault @ AdoptFault::TableTaken { .. } => QueryFault::Conflict(fault.to_string()),
        })?;
        tx.commit()?;
        Ok(checkpoint)
    }

    /// Removes the file. Open readers keep what they have until they are done.
    fn remove(&mut self) -> Result<(), QueryFault> {
        self.connection = None;
        file::remove(&self.path).map_err(|source| QueryFault::Folder { path: self.path.clone(), source })
    }
}
