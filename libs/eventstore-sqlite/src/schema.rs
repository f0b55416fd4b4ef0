use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tracing::warn;

use crate::{Config, OpenFault, by_stream, migration};

/// "CAIR": tells our databases from others.
const APPLICATION_ID: i64 = 0x4341_4952;
const SCHEMA: i64 = 2;
/// Earlier versions can lose committed transactions when the write-ahead log is restarted.
const SQLITE_MIN: (u32, u32, u32) = (3, 51, 3);
const SQLITE_MIN_TEXT: &str = "3.51.3";
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements kept prepared per connection: more than there are.
const STATEMENTS: usize = 64;

/// Types and categories are few and repeated in every row, stream names long: rows name all three by number.
///
/// `events_by_id` is unique per stream, not over the log: it recognises repeats exactly and for ever, and finds an event
/// by its id alone. Where a stream's events are is in [tables of their own](by_stream).
const CREATE: &str = "
    CREATE TABLE kinds (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE categories (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE streams (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        category INTEGER NOT NULL,
        max_age INTEGER,
        max_count INTEGER
    ) STRICT;
    CREATE INDEX streams_retained ON streams (id) WHERE max_age IS NOT NULL OR max_count IS NOT NULL;
    CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        time INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        id BLOB NOT NULL,
        metadata BLOB NOT NULL,
        payload BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX events_by_id ON events (id, stream);
    CREATE TABLE snapshots (
        stream INTEGER PRIMARY KEY,
        revision INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        schema TEXT NOT NULL,
        state BLOB NOT NULL
    ) STRICT;
    CREATE TABLE probe (id INTEGER PRIMARY KEY, filler BLOB NOT NULL) STRICT;
";

/// Opens the one connection that writes, creating the database if there is none.
pub(crate) fn open_writer(config: &Config) -> Result<Connection, OpenFault> {
    let path = &config.path;
    check_sqlite(rusqlite::version())?;
    let is_new = !path.exists();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|source| failed(path, source))?;
    let schema = check_identity(path, &connection)?;
    configure_writer(config, &connection)?;
    match schema {
        Some(schema) => migration::migrate(&connection, schema),
        None => create(&connection),
    }
    .and_then(|()| limit_size(config, &connection))
    .map_err(|source| failed(path, source))?;
    if is_new {
        crate::lock::sync_folder(path)?;
    }
    if !is_built_as_configured(&connection).map_err(|source| failed(path, source))? {
        warn!("SQLite was built without the flags of .cargo/config.toml: as safe, but appends are slower");
    }
    Ok(connection)
}

/// Whether SQLite was compiled with the flags that `.cargo/config.toml` gives, `HAVE_FDATASYNC` among them. That one is
/// not in the list it can be asked for, but came with another that is.
fn is_built_as_configured(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) > 0 FROM pragma_compile_options WHERE compile_options = 'DEFAULT_MEMSTATUS=0'";
    connection.query_row(sql, [], |row| row.get(0))
}

/// Opens a connection that only reads.
pub(crate) fn open_reader(path: &Path, cache_bytes: usize) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    plan_once(&connection)?;
    set_cache(&connection, cache_bytes)?;
    Ok(connection)
}

fn failed(path: &Path, source: rusqlite::Error) -> OpenFault {
    OpenFault::Sqlite { path: path.to_owned(), source }
}

fn check_sqlite(found: &str) -> Result<(), OpenFault> {
    let mut numbers = found.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) < SQLITE_MIN {
        return Err(OpenFault::SqliteTooOld { found: found.to_owned(), needed: SQLITE_MIN_TEXT });
    }
    Ok(())
}

/// The database's schema, `None` if it is still empty; a fault if it is not ours to write to.
fn check_identity(path: &Path, connection: &Connection) -> Result<Option<i64>, OpenFault> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let read = || {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        Ok((number("PRAGMA application_id")?, number("PRAGMA user_version")?, tables))
    };
    let (application, schema, tables) = read().map_err(|source| failed(path, source))?;
    match (application, schema) {
        (0, 0) if tables == 0 => Ok(None),
        (APPLICATION_ID, 1..=SCHEMA) => Ok(Some(schema)),
        (APPLICATION_ID, found) => Err(OpenFault::TooNew { path: path.to_owned(), found, known: SCHEMA }),
        (found, _) => Err(OpenFault::NotOurs { path: path.to_owned(), found }),
    }
}

fn configure_writer(config: &Config, connection: &Connection) -> Result<(), OpenFault> {
    let path = &config.path;
    let set = || {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        plan_once(connection)?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        // FULL: the log is synced at every commit. NORMAL would lose the last commits with the power.
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON")?;
        // Checkpoints are the writer's alone, at moments of its choosing.
        connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
        set_cache(connection, config.writer_cache_bytes)?;
        let synchronous: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
        Ok((mode, synchronous))
    };
    let (mode, synchronous) = set().map_err(|source| failed(path, source))?;
    let unexpected = |setting, found, wanted| OpenFault::Setting { path: path.to_owned(), setting, found, wanted };
    if mode != "wal" {
        return Err(unexpected("journal_mode", mode, "wal"));
    }
    if synchronous != 2 {
        return Err(unexpected("synchronous", synchronous.to_string(), "2"));
    }
    Ok(())
}

/// Last of all: a database that is as large as it may be is still brought to the current schema.
fn limit_size(config: &Config, connection: &Connection) -> rusqlite::Result<()> {
    if config.database_bytes_max > 0 {
        let page: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = config.database_bytes_max.div_ceil(page);
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    Ok(())
}

pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {CREATE} {}
         PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA}; COMMIT",
        by_stream::CREATE
    ))
}

/// Has SQLite plan a statement once. By itself it compiles one with `LIMIT ?` anew whenever another number is bound, which for
/// a short read is most of its time.
fn plan_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn set_cache(connection: &Connection, bytes: usize) -> rusqlite::Result<()> {
    // Memory mapping stays off: an I/O error would arrive as a signal instead of an error.
    connection.query_row("PRAGMA mmap_size = 0", [], |_| Ok(())).or_else(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        other => Err(other),
    })?;
    connection.execute_batch(&format!("PRAGMA cache_size = -{}; PRAGMA temp_store = MEMORY", bytes.div_ceil(1024)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_sqlite_is_refused() {
        for old in ["3.51.2", "3.50.9", "3.9.99", "2.99.99"] {
            assert!(matches!(check_sqlite(old), Err(OpenFault::SqliteTooOld { .. })), "{old} was accepted");
        }
        for new in ["3.51.3", "3.52.0", "3.100.1", "4.0.0"] {
            assert!(check_sqlite(new).is_ok(), "{new} was refused");
        }
        assert!(check_sqlite(rusqlite::version()).is_ok());
    }

    #[test]
    fn sqlite_is_built_with_the_flags_of_the_workspace() {
        let connection = Connection::open_in_memory().expect("a database in memory opens");
        assert_eq!(
            is_built_as_configured(&connection),
            Ok(true),
            "is LIBSQLITE3_FLAGS of .cargo/config.toml in force?"
        );
    }
}
