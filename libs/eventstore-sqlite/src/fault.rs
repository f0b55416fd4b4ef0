use std::path::PathBuf;

use cairn_eventstore::{AppendFault, ReadFault};
use rusqlite::{Error, ErrorCode};
use uuid::Uuid;

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// The configuration cannot work.
    #[error("the event store's configuration is wrong: {}", .0.join("; "))]
    Config(Vec<String>),
    /// Another process has it open, or this one twice.
    #[error("{path} is in use by another process: two writers would destroy it (lock file {lock})")]
    InUse { path: PathBuf, lock: PathBuf },
    /// This SQLite has known faults that lose data.
    #[error("SQLite {found} is too old: {needed} or newer is needed")]
    SqliteTooOld { found: String, needed: &'static str },
    /// Another program's database.
    #[error("{path} is not an event store of ours (application id {found:#x})")]
    NotOurs { path: PathBuf, found: i64 },
    /// Written by a newer version of this program.
    #[error(
        "{path} has schema {found}, this program knows schemas up to {known}: run the version that wrote it, or newer"
    )]
    TooNew { path: PathBuf, found: i64, known: i64 },
    /// A durability setting did not take.
    #[error("{path}: {setting} is {found:?} although {wanted:?} was asked for; is it on a network disk?")]
    Setting { path: PathBuf, setting: &'static str, found: String, wanted: &'static str },
    /// Only its primary log may be appended to.
    #[error("{path} is a copy of log {log}, which is kept elsewhere: it cannot be a log of its own")]
    Replica { path: PathBuf, log: Uuid },
    #[error("{path} is to be a copy of log {log}, and it is of {found}: use another data folder")]
    OtherLog { path: PathBuf, log: Uuid, found: String },
    #[error("{path} cannot be opened")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path} cannot be opened")]
    Sqlite { path: PathBuf, source: Error },
}

/// What a failed statement means for the writer.
#[derive(Debug, PartialEq)]
pub(crate) enum WriteTrouble {
    /// No space: nothing was written, and it can be tried again.
    Full,
    /// What was handed to the disk may be lost without trace. The process must end and start from what is there.
    LostDisk(String),
    /// Something else: this batch failed.
    Other(String),
}

impl WriteTrouble {
    pub(crate) fn of(error: &Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::SystemIoFailure) => Self::LostDisk(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }

    pub(crate) fn answer(&self) -> AppendFault {
        match self {
            Self::Full => AppendFault::StorageFull,
            Self::LostDisk(why) | Self::Other(why) => AppendFault::Unavailable(why.clone()),
        }
    }
}

pub(crate) fn read_fault(error: &Error) -> ReadFault {
    if is_damage(error) { ReadFault::Damaged(error.to_string()) } else { ReadFault::Unavailable(error.to_string()) }
}

/// Whether what is stored cannot be what was written.
pub(crate) fn is_damage(error: &Error) -> bool {
    match error {
        Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..) => true,
        other => matches!(other.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)),
    }
}

/// Whether an insert met a row that is there already.
pub(crate) fn is_conflict(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}
