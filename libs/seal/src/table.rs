use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use cairn_kernel::Name;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::task::spawn_blocking;

use crate::keeper::Wrapped;
use crate::{KeyId, SealFault};

/// The wrapped data keys: the one thing of what is sealed that can be taken away.
///
/// A file of its own, for its owner alone, with every deletion overwritten. Not a view: it cannot be rebuilt, and is to be
/// backed up apart from the log and for no longer than forgetting may take.
#[derive(Clone)]
pub(crate) struct Table {
    connection: Arc<Mutex<Connection>>,
}

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct KeyRow {
    pub id: KeyId,
    pub subject: String,
    pub wrapped: Wrapped,
}

/// Deleted rows are overwritten, and there is no second file that would still hold them.
const SCHEMA: &str = "
PRAGMA journal_mode = TRUNCATE;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS key (
    id          BLOB PRIMARY KEY,
    subject     TEXT NOT NULL,
    -- Whether it is the one that everything new of the subject is sealed with.
    is_standing INTEGER NOT NULL,
    wrapped_by  TEXT NOT NULL,
    wrapped     BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS key_standing ON key (subject) WHERE is_standing;
CREATE INDEX IF NOT EXISTS key_by_subject ON key (subject);
CREATE INDEX IF NOT EXISTS key_by_wrapper ON key (wrapped_by);
";

impl Table {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self, SealFault> {
        // Made before SQLite would make it: for its owner alone.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// The key-encryption keys that rows are wrapped with, and how many by each.
    pub fn wrappers(&self) -> Result<Vec<(String, u64)>, SealFault> {
        let connection = self.connection.lock();
        let mut select = connection.prepare("SELECT wrapped_by, count(*) FROM key GROUP BY wrapped_by ORDER BY 1")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A key, unless it was forgotten.
    pub async fn find(&self, id: KeyId) -> Result<Option<KeyRow>, SealFault> {
        self.run(move |db| {
            let mut select = db.prepare_cached("SELECT id, subject, wrapped_by, wrapped FROM key WHERE id = ?1")?;
            Ok(select.query_row([id.as_bytes()], read).optional()?)
        })
        .await
    }

    /// The key that everything new of a subject is sealed with.
    pub async fn standing(&self, subject: &Name) -> Result<Option<KeyRow>, SealFault> {
        let subject = subject.to_string();
        self.run(move |db| {
            let sql = "SELECT id, subject, wrapped_by, wrapped FROM key WHERE subject = ?1 AND is_standing";
            Ok(db.prepare_cached(sql)?.query_row([subject], read).optional()?)
        })
        .await
    }

    /// Keeps a key. A subject's standing key is kept once: `false` if another was first.
    pub async fn keep(&self, row: KeyRow, is_standing: bool) -> Result<bool, SealFault> {
        self.run(move |db| {
            let sql = "INSERT INTO key (id, subject, is_standing, wrapped_by, wrapped) VALUES (?1, ?2, ?3, ?4, ?5) \
                       ON CONFLICT DO NOTHING";
            let KeyRow { id, subject, wrapped } = row;
            let values = params![id.as_bytes(), subject, is_standing, wrapped.by, wrapped.bytes];
            Ok(db.prepare_cached(sql)?.execute(values)? == 1)
        })
        .await
    }

    /// Forgets every key of a subject, and says how many there were.
    pub async fn forget(&self, subject: &Name) -> Result<usize, SealFault> {
        let subject = subject.to_string();
        self.run(move |db| Ok(db.prepare_cached("DELETE FROM key WHERE subject = ?1")?.execute([subject])?)).await
    }

    /// Forgets one key.
    pub async fn forget_key(&self, id: KeyId) -> Result<(), SealFault> {
        self.run(move |db| {
            db.prepare_cached("DELETE FROM key WHERE id = ?1")?.execute([id.as_bytes()])?;
            Ok(())
        })
        .await
    }

    /// Up to `limit` keys that are wrapped by another than this.
    pub async fn wrapped_by_others(&self, newest: &str, limit: u32) -> Result<Vec<KeyRow>, SealFault> {
        let newest = newest.to_owned();
        self.run(move |db| {
            let sql = "SELECT id, subject, wrapped_by, wrapped FROM key WHERE wrapped_by <> ?1 LIMIT ?2";
            let rows = db.prepare_cached(sql)?.query_map(params![newest, limit], read)?.collect::<Result<_, _>>()?;
            Ok(rows)
        })
        .await
    }

    /// How many keys are wrapped by another than this.
    pub async fn count_wrapped_by_others(&self, newest: &str) -> Result<u64, SealFault> {
        let newest = newest.to_owned();
        self.run(move |db| {
            let sql = "SELECT count(*) FROM key WHERE wrapped_by <> ?1";
            Ok(db.prepare_cached(sql)?.query_row([newest], |row| row.get::<_, i64>(0))?.unsigned_abs())
        })
        .await
    }

    /// Puts keys in the place of what they were, where they are still that: all in one transaction.
    pub async fn replace(&self, rows: Vec<(KeyRow, Wrapped)>) -> Result<(), SealFault> {
        self.run(move |db| {
            let tx = db.unchecked_transaction()?;
            for (row, wrapped) in rows {
                let sql = "UPDATE key SET wrapped_by = ?2, wrapped = ?3 WHERE id = ?1 AND wrapped = ?4";
                let values = params![row.id.as_bytes(), wrapped.by, wrapped.bytes, row.wrapped.bytes];
                tx.prepare_cached(sql)?.execute(values)?;
            }
            Ok(tx.commit()?)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, SealFault> + Send + 'static,
    ) -> Result<T, SealFault> {
        let connection = Arc::clone(&self.connection);
        spawn_blocking(move || work(&connection.lock())).await.map_err(|_| SealFault::Stopping)?
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    let id = row.get_ref(0)?.as_blob()?;
    let id = KeyId::read(id).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, 0))?;
    Ok(KeyRow { id, subject: row.get(1)?, wrapped: Wrapped { by: row.get(2)?, bytes: row.get(3)? } })
}
