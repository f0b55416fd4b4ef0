use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_kernel::Time;
use cairn_tlog::{Checkpoint, Hash, Note};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS signed (
        origin TEXT NOT NULL,
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        time_micros INTEGER NOT NULL,
        note TEXT NOT NULL,
        PRIMARY KEY (origin, size)
    ) STRICT;
";
/// Files of before there were epochs: the first line of a note is its origin.
const MOVE: &str = "
    INSERT INTO signed (origin, size, root, time_micros, note)
        SELECT substr(note, 1, instr(note, char(10)) - 1), size, root, time_micros, note FROM checkpoint;
    DROP TABLE checkpoint;
";
/// Of each hour the first checkpoint of an epoch is kept, and the newest of all.
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
            let mut connection = Connection::open(path)?;
            connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
            let tx = connection.transaction()?;
            tx.execute_batch(SCHEMA)?;
            if tx.table_exists(None, "checkpoint")? {
                tx.execute_batch(MOVE)?;
            }
            tx.commit()?;
            Ok(connection)
        };
        let connection = open().map_err(|source| SignedFault { path: path.to_owned(), source })?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// The names that anything was ever signed under. Blocks.
    pub fn origins(&self) -> Result<Vec<String>, rusqlite::Error> {
        let connection = self.connection.lock();
        let mut find = connection.prepare_cached("SELECT DISTINCT origin FROM signed")?;
        find.query_map([], |row| row.get(0))?.collect()
    }

    /// The newest of an epoch. Blocks.
    pub fn newest(&self, origin: &str) -> Result<Option<Signed>, rusqlite::Error> {
        let connection = self.connection.lock();
        let mut find = connection.prepare_cached(
            "SELECT size, root, time_micros, note FROM signed WHERE origin = ?1 ORDER BY size DESC LIMIT 1",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, [u8; 32]>(1)?, row.get(2)?, row.get::<_, String>(3)?))
        };
        let Some((size, root, time, note)) = find.query_row([origin], read).optional()? else { return Ok(None) };
        let malformed = |fault: cairn_tlog::NoteFault| {
            rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(fault))
        };
        let note: Note = note.parse().map_err(malformed)?;
        Ok(Some(Signed {
            checkpoint: Checkpoint { origin: origin.to_owned(), size, root: Hash(root) },
            note,
            time: Time::from_micros(time),
        }))
    }

    /// Size and root of everything that is kept of an epoch, the smallest first. Blocks.
    pub fn roots(&self, origin: &str) -> Result<Vec<(u64, Hash)>, rusqlite::Error> {
        let connection = self.connection.lock();
        let mut find = connection.prepare_cached("SELECT size, root FROM signed WHERE origin = ?1 ORDER BY size")?;
        find.query_map([origin], |row| Ok((row.get(0)?, Hash(row.get(1)?))))?.collect()
    }

    /// Keeps what a witness added to one. Blocks.
    pub fn cosigned(&self, signed: &Signed) -> Result<(), rusqlite::Error> {
        let Signed { checkpoint, note, .. } = signed;
        let values = params![checkpoint.origin, checkpoint.size.cast_signed(), note.to_string()];
        let sql = "UPDATE signed SET note = ?3 WHERE origin = ?1 AND size = ?2";
        self.connection.lock().execute(sql, values).map(drop)
    }

    /// Keeps a new one, durably when this returns. Blocks.
    pub fn keep(&self, signed: &Signed) -> Result<(), rusqlite::Error> {
        let Signed { checkpoint, note, time } = signed;
        let mut connection = self.connection.lock();
        let tx = connection.transaction()?;
        // The newest until now goes, unless it is the first of its hour.
        tx.execute(
            "DELETE FROM signed WHERE origin = ?1 AND size = (SELECT max(size) FROM signed WHERE origin = ?1)
             AND EXISTS (
                 SELECT 1 FROM signed earlier WHERE earlier.origin = ?1 AND earlier.size < signed.size
                 AND earlier.time_micros / ?2 = signed.time_micros / ?2)",
            params![checkpoint.origin, KEPT_MICROS],
        )?;
        tx.execute(
            "INSERT INTO signed (origin, size, root, time_micros, note) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                checkpoint.origin,
                checkpoint.size.cast_signed(),
                checkpoint.root.0,
                time.micros(),
                note.to_string()
            ],
        )?;
        tx.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "log.example";

    fn signed(origin: &str, size: u64, minute: i64) -> Signed {
        let checkpoint = Checkpoint { origin: origin.into(), size, root: Hash([size as u8; 32]) };
        let text = checkpoint.to_string();
        let key = cairn_tlog::SigningKey::from_seed(origin.parse().unwrap(), cairn_tlog::Kind::Log, &[1; 32]);
        let note = Note { signatures: vec![key.sign(&text, 0)], text };
        Signed { checkpoint, note, time: Time::from_micros(minute * 60_000_000) }
    }

    fn sizes(kept: &SignedCheckpoints, origin: &str) -> Vec<u64> {
        kept.roots(origin).unwrap().into_iter().map(|(size, _)| size).collect()
    }

    #[test]
    fn the_first_of_each_hour_and_the_newest_are_kept_and_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints.db");
        let kept = SignedCheckpoints::open(&path).unwrap();
        assert_eq!(kept.newest(LOG).unwrap(), None);
        for (size, minute) in [(1, 0), (2, 1), (3, 59), (4, 60), (5, 61), (6, 62), (9, 500)] {
            kept.keep(&signed(LOG, size, minute)).unwrap();
            assert_eq!(kept.newest(LOG).unwrap(), Some(signed(LOG, size, minute)));
        }
        assert!(kept.keep(&signed(LOG, 9, 501)).is_err(), "nothing is signed twice for one size");
        drop(kept);
        let kept = SignedCheckpoints::open(&path).unwrap();
        assert_eq!(kept.newest(LOG).unwrap(), Some(signed(LOG, 9, 500)));
        assert_eq!(sizes(&kept, LOG), [1, 4, 9]);
    }

    #[test]
    fn another_epoch_begins_anew_and_leaves_what_was() {
        let folder = tempfile::tempdir().unwrap();
        let kept = SignedCheckpoints::open(&folder.path().join("checkpoints.db")).unwrap();
        let next = "log.example/2-0";
        for (origin, size, minute) in [(LOG, 1, 0), (LOG, 9, 1), (next, 5, 2), (next, 6, 3), (next, 9, 4)] {
            kept.keep(&signed(origin, size, minute)).unwrap();
        }
        assert_eq!((sizes(&kept, LOG), sizes(&kept, next)), (vec![1, 9], vec![5, 9]));
        assert_eq!(kept.newest(LOG).unwrap(), Some(signed(LOG, 9, 1)));
        assert_eq!(kept.origins().unwrap(), [LOG, next]);
    }

    #[test]
    fn a_file_of_before_there_were_epochs_is_read_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints.db");
        let before = Connection::open(&path).unwrap();
        let old = signed(LOG, 7, 3);
        before
            .execute_batch(
                "CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, root BLOB NOT NULL, time_micros INTEGER NOT NULL,
                 note TEXT NOT NULL) STRICT",
            )
            .unwrap();
        let values = params![7, old.checkpoint.root.0, old.time.micros(), old.note.to_string()];
        before.execute("INSERT INTO checkpoint VALUES (?1, ?2, ?3, ?4)", values).unwrap();
        drop(before);
        for _ in 0..2 {
            assert_eq!(SignedCheckpoints::open(&path).unwrap().newest(LOG).unwrap(), Some(old.clone()));
        }
    }
}
