use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_kernel::Time;
use cairn_tlog::{Checkpoint, Hash, Note};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS checkpoint (
        size INTEGER PRIMARY KEY,
        root BLOB NOT NULL,
        time_micros INTEGER NOT NULL,
        note TEXT NOT NULL
    ) STRICT;
";
/// Of each hour the first checkpoint is kept, and the newest of all.
const KEPT_MICROS: i64 = 3_600_000_000;

/// A checkpoint with its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    pub checkpoint: Checkpoint,
    pub note: Note,
    pub time: Time,
}

/// What was signed, kept durably before anybody sees it, so that nothing else is ever signed in its place. Not a view:
/// it cannot be made again.
#[derive(Clone)]
pub struct SignedCheckpoints {
    connection: Arc<Mutex<Connection>>,
}

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the signed checkpoints in {path} cannot be read or written: {source}")]
pub struct SignedFault {
    path: PathBuf,
    source: rusqlite::Error,
}

impl SignedCheckpoints {
    pub fn open(path: &Path) -> Result<Self, SignedFault> {
        let open = || {
            let connection = Connection::open(path)?;
            connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        };
        let connection = open().map_err(|source| SignedFault { path: path.to_owned(), source })?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// The newest. Blocks.
    pub fn newest(&self) -> Result<Option<Signed>, rusqlite::Error> {
        let connection = self.connection.lock();
        let mut find = connection
            .prepare_cached("SELECT size, root, time_micros, note FROM checkpoint ORDER BY size DESC LIMIT 1")?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, [u8; 32]>(1)?, row.get(2)?, row.get::<_, String>(3)?))
        };
        let Some((size, root, time, note)) = find.query_row([], read).optional()? else { return Ok(None) };
        let malformed = |fault: cairn_tlog::NoteFault| {
            rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(fault))
        };
        let note: Note = note.parse().map_err(malformed)?;
        let origin = note.text.lines().next().unwrap_or_default().to_owned();
        Ok(Some(Signed {
            checkpoint: Checkpoint { origin, size, root: Hash(root) },
            note,
            time: Time::from_micros(time),
        }))
    }

    /// Keeps what a witness added to one. Blocks.
    pub fn cosigned(&self, signed: &Signed) -> Result<(), rusqlite::Error> {
        let values = params![signed.checkpoint.size.cast_signed(), signed.note.to_string()];
        self.connection.lock().execute("UPDATE checkpoint SET note = ?2 WHERE size = ?1", values).map(drop)
    }

    /// Keeps a new one, durably when this returns. Blocks.
    pub fn keep(&self, signed: &Signed) -> Result<(), rusqlite::Error> {
        let mut connection = self.connection.lock();
        let tx = connection.transaction()?;
        // The newest until now goes, unless it is the first of its hour.
        tx.execute(
            "DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint) AND EXISTS (
                 SELECT 1 FROM checkpoint earlier WHERE earlier.size < checkpoint.size
                 AND earlier.time_micros / ?1 = checkpoint.time_micros / ?1)",
            [KEPT_MICROS],
        )?;
        tx.execute(
            "INSERT INTO checkpoint (size, root, time_micros, note) VALUES (?1, ?2, ?3, ?4)",
            params![
                signed.checkpoint.size.cast_signed(),
                signed.checkpoint.root.0,
                signed.time.micros(),
                signed.note.to_string()
            ],
        )?;
        tx.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(size: u64, minute: i64) -> Signed {
        let checkpoint = Checkpoint { origin: "log.example".into(), size, root: Hash([size as u8; 32]) };
        let text = checkpoint.to_string();
        let name = "log.example".parse().unwrap();
        let key = cairn_tlog::SigningKey::from_seed(name, cairn_tlog::Kind::Log, &[1; 32]);
        let note = Note { signatures: vec![key.sign(&text, 0)], text };
        Signed { checkpoint, note, time: Time::from_micros(minute * 60_000_000) }
    }

    #[test]
    fn the_first_of_each_hour_and_the_newest_are_kept_and_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints.db");
        let kept = SignedCheckpoints::open(&path).unwrap();
        assert_eq!(kept.newest().unwrap(), None);
        for (size, minute) in [(1, 0), (2, 1), (3, 59), (4, 60), (5, 61), (6, 62), (9, 500)] {
            kept.keep(&signed(size, minute)).unwrap();
            assert_eq!(kept.newest().unwrap(), Some(signed(size, minute)));
        }
        assert!(kept.keep(&signed(9, 501)).is_err(), "nothing is signed twice for one size");
        drop(kept);
        let kept = SignedCheckpoints::open(&path).unwrap();
        assert_eq!(kept.newest().unwrap(), Some(signed(9, 500)));
        let sizes: Vec<u64> = {
            let connection = kept.connection.lock();
            let mut all = connection.prepare("SELECT size FROM checkpoint ORDER BY size").unwrap();
            all.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        assert_eq!(sizes, [1, 4, 9]);
    }
}
