use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use cairn_kernel::{Position, Time};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Params, Transaction, TransactionBehavior, params};
use tokio::task::spawn_blocking;

/// Requests of one log that are recognized when they come again.
const REQUESTS_MAX: u32 = 100;

/// The lines themselves: bulk, and so beside the log of events, in a file of its own.
///
/// Not a view: it cannot be rebuilt. What is acknowledged is on the disk.
#[derive(Clone)]
pub struct Book {
    writer: Arc<Mutex<Connection>>,
    /// Following a log does not wait for those who write.
    reader: Arc<Mutex<Connection>>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub number: u64,
    pub time: Time,
    pub text: String,
}

/// Lines on their way in.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    pub lines: Vec<(Time, String)>,
    /// The number the first shall have; the next free one if it does not matter.
    pub first_number: Option<u64>,
    /// Recognizes a repeat where there is no number. Empty: nothing does.
    pub request_id: String,
    /// Longest log, in bytes.
    pub size_max: u64,
    /// Whether the run has ended: then only a repeat is taken.
    pub is_over: bool,
}

/// A log as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    pub line_count: u64,
    pub size_bytes: u64,
    /// Of all lines, each with its line end. Absent: the log is open.
    pub sha256: Option<String>,
}

/// Which lines are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Those with a higher number.
    pub after: u64,
    /// Those not older.
    pub since: Time,
    pub limit: usize,
}

/// Why lines were not added, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BookFault {
    #[error("the run has ended, and its log with it")]
    Closed,
    #[error("line {number} is another than the one given for it")]
    Conflict { number: u64 },
    #[error("the request id was used for other lines")]
    Reused,
    #[error("line {next} comes next, not line {given}")]
    Gap { next: u64, given: u64 },
    #[error("the log would have more than the {size_max} bytes of the setting run_logs.run_bytes_max")]
    Full { size_max: u64 },
    #[error("the file of run logs cannot be used: {0}")]
    Sql(#[from] rusqlite::Error),
    #[error("the file of run logs is stopping")]
    Stopping,
}

const SCHEMA: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS logs (
    id          INTEGER PRIMARY KEY,
    run         TEXT NOT NULL UNIQUE,
    line_count  INTEGER NOT NULL DEFAULT 0,
    size_bytes  INTEGER NOT NULL DEFAULT 0,
    sha256      TEXT,
    delete_time INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS logs_open ON logs (run) WHERE sha256 IS NULL;
CREATE INDEX IF NOT EXISTS logs_deleted ON logs (delete_time) WHERE delete_time IS NOT NULL;
CREATE TABLE IF NOT EXISTS lines (
    log         INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    time_micros INTEGER NOT NULL,
    text        TEXT NOT NULL,
    PRIMARY KEY (log, number)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS requests (
    id           INTEGER PRIMARY KEY,
    log          INTEGER NOT NULL,
    request      TEXT NOT NULL,
    first_number INTEGER NOT NULL,
    line_count   INTEGER NOT NULL,
    UNIQUE (log, request)
) STRICT;
CREATE TABLE IF NOT EXISTS heard (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL
) STRICT;
";

impl Book {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self, BookFault> {
        let writer = Connection::open(path)?;
        writer.execute_batch(SCHEMA)?;
        let reader = Connection::open(path)?;
        reader.execute_batch("PRAGMA query_only = ON;")?;
        Ok(Self { writer: Arc::new(Mutex::new(writer)), reader: Arc::new(Mutex::new(reader)) })
    }

    /// Adds lines, all or none, and gives the log as it is then. Lines that stand there already are passed over.
    pub async fn append(&self, run: String, new: Lines) -> Result<Log, BookFault> {
        self.write(move |tx| append(tx, &run, &new)).await
    }

    /// The log of a run; an empty one if it has none.
    pub async fn log(&self, run: String) -> Result<Log, BookFault> {
        self.read(move |connection| Ok(find(connection, &run)?.map(|(_, log)| log).unwrap_or_default())).await
    }

    /// The next lines that are wanted.
    pub async fn lines(&self, run: String, wanted: Wanted) -> Result<Vec<Line>, BookFault> {
        let sql = "SELECT number, time_micros, text FROM lines \
                   WHERE log = (SELECT id FROM logs WHERE run = ?1) AND number > ?2 AND time_micros >= ?3 \
                   ORDER BY number LIMIT ?4";
        self.read(move |connection| {
            let mut select = connection.prepare_cached(sql)?;
            let parameters = params![run, wanted.after, wanted.since.micros(), wanted.limit];
            let lines = select.query_map(parameters, |row| {
                Ok(Line { number: row.get(0)?, time: Time::from_micros(row.get(1)?), text: row.get(2)? })
            })?;
            Ok(lines.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Ends a log, unless it has ended, and gives it; nothing if the run has none.
    pub async fn close(&self, run: String) -> Result<Option<Log>, BookFault> {
        self.write(move |tx| {
            let Some((id, mut log)) = find(tx, &run)? else { return Ok(None) };
            if log.sha256.is_none() {
                let sha256 = digest(tx, id)?;
                tx.execute("UPDATE logs SET sha256 = ?2 WHERE id = ?1", params![id, sha256])?;
                log.sha256 = Some(sha256);
            }
            Ok(Some(log))
        })
        .await
    }

    /// Lets an ended log go on.
    pub async fn reopen(&self, run: String) -> Result<(), BookFault> {
        self.change("UPDATE logs SET sha256 = NULL WHERE run = ?1", [run]).await
    }

    /// Notes that a run was deleted, or that it is back.
    pub async fn mark(&self, run: String, delete_time: Option<Time>) -> Result<(), BookFault> {
        let time = delete_time.map(Time::micros);
        self.change("UPDATE logs SET delete_time = ?2 WHERE run = ?1", (run, time)).await
    }

    /// Runs whose logs go on.
    pub async fn open_runs(&self) -> Result<Vec<String>, BookFault> {
        self.read(|connection| {
            let mut select = connection.prepare_cached("SELECT run FROM logs WHERE sha256 IS NULL")?;
            let runs = select.query_map([], |row| row.get(0))?;
            Ok(runs.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Removes the logs of runs deleted before. Gives how many.
    pub async fn forget_deleted(&self, before: Time) -> Result<usize, BookFault> {
        self.write(move |tx| {
            const GONE: &str = "(SELECT id FROM logs WHERE delete_time < ?1)";
            tx.execute(&format!("DELETE FROM lines WHERE log IN {GONE}"), [before.micros()])?;
            tx.execute(&format!("DELETE FROM requests WHERE log IN {GONE}"), [before.micros()])?;
            Ok(tx.execute("DELETE FROM logs WHERE delete_time < ?1", [before.micros()])?)
        })
        .await
    }

    /// Up to where the ends of runs have been heard.
    pub async fn heard(&self) -> Result<Position, BookFault> {
        let sql = "SELECT position FROM heard";
        let position: Option<u64> =
            self.read(move |connection| Ok(connection.query_row(sql, [], |row| row.get(0)).optional()?)).await?;
        Ok(Position(position.unwrap_or_default()))
    }

    /// Notes up to where.
    pub async fn note_heard(&self, position: Position) -> Result<(), BookFault> {
        self.change("INSERT OR REPLACE INTO heard (one, position) VALUES (1, ?1)", [position.0]).await
    }

    async fn change(&self, sql: &'static str, values: impl Params + Send + 'static) -> Result<(), BookFault> {
        self.write(move |tx| {
            tx.execute(sql, values)?;
            Ok(())
        })
        .await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, BookFault> + Send + 'static,
    ) -> Result<T, BookFault> {
        let writer = Arc::clone(&self.writer);
        let work = move || {
            let mut writer = writer.lock();
            let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&tx)?;
            tx.commit()?;
            Ok(done)
        };
        spawn_blocking(work).await.map_err(|_| BookFault::Stopping)?
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, BookFault> + Send + 'static,
    ) -> Result<T, BookFault> {
        let reader = Arc::clone(&self.reader);
        spawn_blocking(move || work(&reader.lock())).await.map_err(|_| BookFault::Stopping)?
    }
}

fn append(tx: &Transaction<'_>, run: &str, new: &Lines) -> Result<Log, BookFault> {
    tx.prepare_cached("INSERT INTO logs (run) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([run])?;
    let (id, mut log) = find(tx, run)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    if let Some((first, count)) = repeated(tx, id, new)? {
        let is_same = count == new.lines.len() as u64 && differing(tx, id, first, &new.lines)?.is_none();
        return if is_same { Ok(log) } else { Err(BookFault::Reused) };
    }
    let next = log.line_count + 1;
    let first = new.first_number.unwrap_or(next);
    if first > next {
        return Err(BookFault::Gap { next, given: first });
    }
    let known = usize::try_from(next - first).unwrap_or(usize::MAX).min(new.lines.len());
    let (known, fresh) = new.lines.split_at(known);
    if let Some(number) = differing(tx, id, first, known)? {
        return Err(BookFault::Conflict { number });
    }
    if fresh.is_empty() {
        return Ok(log);
    }
    if log.sha256.is_some() || new.is_over {
        return Err(BookFault::Closed);
    }
    log.size_bytes += fresh.iter().map(|(_, text)| text.len() as u64 + 1).sum::<u64>();
    if log.size_bytes > new.size_max {
        return Err(BookFault::Full { size_max: new.size_max });
    }
    let mut insert = tx.prepare_cached("INSERT INTO lines (log, number, time_micros, text) VALUES (?1, ?2, ?3, ?4)")?;
    for (time, text) in fresh {
        log.line_count += 1;
        insert.execute(params![id, log.line_count, time.micros(), text])?;
    }
    let sql = "UPDATE logs SET line_count = ?2, size_bytes = ?3 WHERE id = ?1";
    tx.prepare_cached(sql)?.execute(params![id, log.line_count, log.size_bytes])?;
    remember(tx, id, first, new)?;
    Ok(log)
}

fn find(connection: &Connection, run: &str) -> Result<Option<(i64, Log)>, BookFault> {
    let sql = "SELECT id, line_count, size_bytes, sha256 FROM logs WHERE run = ?1";
    let found = connection.prepare_cached(sql)?.query_row([run], |row| {
        Ok((row.get(0)?, Log { line_count: row.get(1)?, size_bytes: row.get(2)?, sha256: row.get(3)? }))
    });
    Ok(found.optional()?)
}

/// Where the lines of a request that came before stand, and how many they are.
fn repeated(tx: &Transaction<'_>, log: i64, new: &Lines) -> Result<Option<(u64, u64)>, BookFault> {
    if new.request_id.is_empty() || new.first_number.is_some() {
        return Ok(None);
    }
    let sql = "SELECT first_number, line_count FROM requests WHERE log = ?1 AND request = ?2";
    let found = tx.prepare_cached(sql)?.query_row(params![log, new.request_id], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(found.optional()?)
}

fn remember(tx: &Transaction<'_>, log: i64, first: u64, new: &Lines) -> Result<(), BookFault> {
    if new.request_id.is_empty() || new.first_number.is_some() {
        return Ok(());
    }
    let sql = "INSERT INTO requests (log, request, first_number, line_count) VALUES (?1, ?2, ?3, ?4)";
    tx.prepare_cached(sql)?.execute(params![log, new.request_id, first, new.lines.len()])?;
    let sql = "DELETE FROM requests WHERE log = ?1 \
               AND id NOT IN (SELECT id FROM requests WHERE log = ?1 ORDER BY id DESC LIMIT ?2)";
    tx.prepare_cached(sql)?.execute(params![log, REQUESTS_MAX])?;
    Ok(())
}

/// The first of these lines that stands otherwise in the log.
fn differing(tx: &Transaction<'_>, log: i64, first: u64, lines: &[(Time, String)]) -> Result<Option<u64>, BookFault> {
    let mut select = tx.prepare_cached("SELECT text FROM lines WHERE log = ?1 AND number = ?2")?;
    for (number, (_, text)) in (first..).zip(lines) {
        let stored: Option<String> = select.query_row(params![log, number], |row| row.get(0)).optional()?;
        if stored.as_ref() != Some(text) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

fn digest(tx: &Transaction<'_>, log: i64) -> Result<String, BookFault> {
    let mut context = Context::new(&SHA256);
    let mut select = tx.prepare_cached("SELECT text FROM lines WHERE log = ?1 ORDER BY number")?;
    let mut rows = select.query([log])?;
    while let Some(row) = rows.next()? {
        context.update(row.get_ref(0)?.as_bytes().map_err(rusqlite::Error::from)?);
        context.update(b"\n");
    }
    Ok(hex::encode(context.finish()))
}
