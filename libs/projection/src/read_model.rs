use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryFault {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error("the read model is stopping")]
    Stopping,
}

/// The tables of one service: a file with one writer and several readers. Cheap to clone.
#[derive(Clone)]
pub struct ReadModel {
    _inner: Arc<()>,
}

impl ReadModel {
    /// Opens or creates the file with room for `readers` concurrent queries.
    pub fn open(_path: &Path, _readers: usize) -> Result<Self, QueryFault> {
        unimplemented!()
    }

    /// Runs a query on a reader's connection, off the async threads. Bounded: waits for a free reader.
    pub async fn query<T, F>(&self, _query: F) -> Result<T, QueryFault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        unimplemented!()
    }
}
