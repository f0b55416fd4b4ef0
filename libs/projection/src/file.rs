//! How read model files are opened, and what goes wrong with them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Prepared statements kept per connection.
const STATEMENTS_MAX: usize = 256;

/// Longest wait for another process that writes the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Has SQLite plan a statement once. By itself it compiles one with `LIMIT ?` anew whenever another number is bound, which for
/// a short query is most of its time.
fn plan_once(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// What an error of SQLite means for the view that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The disk, the machine or another process is in the way; the same call may succeed later.
    Passing,
    /// The file is not what was written.
    Corrupt,
    /// The call itself is wrong: it fails every time.
    Lasting,
}

/// Opens a file for writing, creating it if need be.
///
/// `synchronous=NORMAL`: a power cut may take the last transactions, but rows and checkpoint are in the same one, so
/// the view goes on from an earlier position and ends where it was. `OFF` would save the one fsync per WAL checkpoint
/// and could leave a file that is quietly wrong.
///
/// With `recursive_triggers` a row that `REPLACE` takes away is a deletion like any other: the past hears of it.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    plan_once(&connection)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -16384;
         PRAGMA temp_store = MEMORY;
         PRAGMA recursive_triggers = ON;
         PRAGMA foreign_keys = OFF;",
    )?;
    Ok(connection)
}

/// Opens a file that is thrown away unless it is finished, so nothing in it needs to survive a crash. It can still roll
/// back, which a poison event needs. Sorting spills to the disk: it may be as large as the view.
pub(crate) fn open_scratch(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    plan_once(&connection)?;
    connection.execute_batch(
        "PRAGMA journal_mode = MEMORY;
         PRAGMA synchronous = OFF;
         PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA cache_size = -65536;
         PRAGMA temp_store = FILE;
         PRAGMA recursive_triggers = ON;
         PRAGMA foreign_keys = OFF;",
    )?;
    Ok(connection)
}

/// Opens an existing file for queries only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    plan_once(&connection)?;
    connection.execute_batch("PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

/// Removes a file and what SQLite keeps beside it.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        match std::fs::remove_file(beside(path, suffix)) {
            Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}

/// The file's name with something appended.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Judges an error.
pub(crate) fn trouble(fault: &rusqlite::Error) -> Trouble {
    match fault.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::OperationInterrupted
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::SchemaChanged,
        ) => Trouble::Passing,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Corrupt,
        _ => Trouble::Lasting,
    }
}
