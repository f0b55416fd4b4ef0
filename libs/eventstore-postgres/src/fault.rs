use cairn_eventstore::{AppendFault, ReadFault};
use cairn_postgres::{DialFault, PoolFault, is_lost, said};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Why the store does not open. None of it holds a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// The configuration cannot work.
    #[error("the event store's configuration is wrong: {}", .0.join("; "))]
    Config(Vec<String>),
    /// The server is there and does not let us in. Not tried again: it would lock the account, or fill its log.
    #[error("DB_AUTH_FAILED: {place} was refused: {why}")]
    Refused { place: String, why: String },
    /// Nobody answers, or not in time.
    #[error("DB_UNREACHABLE: {place}: {why}")]
    Unreachable { place: String, why: String },
    /// A server that this cannot work with.
    #[error("DB_UNSUITABLE: {place}: {why}")]
    Unsuitable { place: String, why: String },
    /// Another program's tables. Nothing is changed.
    #[error(
        "{place}: schema {schema} has tables that are no event store of ours: name another in events_postgres.schema"
    )]
    NotOurs { place: String, schema: String },
    /// Written by a newer version of this program.
    #[error(
        "DB_TOO_NEW: {place}: schema {schema} has version {found}, this program knows versions up to {known}: run the version that wrote it, or newer"
    )]
    TooNew { place: String, schema: String, found: i32, known: i32 },
    #[error("DB_FAILED: {place}: {why}")]
    Failed { place: String, why: String },
}

impl OpenFault {
    /// What programs tell it by.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Config(_) => "CONFIGURATION_INVALID",
            Self::Refused { .. } => "DB_AUTH_FAILED",
            Self::Unreachable { .. } => "DB_UNREACHABLE",
            Self::Unsuitable { .. } => "DB_UNSUITABLE",
            Self::NotOurs { .. } => "DB_NOT_OURS",
            Self::TooNew { .. } => "DB_TOO_NEW",
            Self::Failed { .. } => "DB_FAILED",
        }
    }
}

/// Why a log at `place` does not open.
pub(crate) fn no_way_in(fault: DialFault, place: String) -> OpenFault {
    match fault {
        DialFault::Refused(why) => OpenFault::Refused { place, why },
        DialFault::Unreachable(why) => OpenFault::Unreachable { place, why },
        DialFault::Unsuitable(why) => OpenFault::Unsuitable { place, why },
    }
}

/// How a server says that a prepared statement is not there, is there already, or is another one.
const UNPREPARED: [&SqlState; 3] =
    [&SqlState::INVALID_SQL_STATEMENT_NAME, &SqlState::DUPLICATE_PSTATEMENT, &SqlState::PROTOCOL_VIOLATION];

/// What a failed statement means for whoever writes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trouble {
    /// There is no connection any more. What was on its way may have happened.
    Lost(String),
    /// A row that is there already. Nothing was written.
    Conflict,
    /// A statement that was prepared is not there: another connection than the one that it was prepared on has run it.
    Unprepared,
    /// No space: nothing was written, and it can be tried again.
    Full,
    /// Something that does not mend itself by waiting: nothing was written.
    Wrong(String),
    /// Something else: nothing was written.
    Other(String),
}

impl Trouble {
    pub(crate) fn of(error: &Error) -> Self {
        let Some(code) = error.code().filter(|_| !is_lost(error)) else { return Self::Lost(said(error)) };
        match code {
            code if *code == SqlState::UNIQUE_VIOLATION => Self::Conflict,
            code if UNPREPARED.contains(&code) => Self::Unprepared,
            code if *code == SqlState::DISK_FULL => Self::Full,
            _ => Self::Other(said(error)),
        }
    }

    pub(crate) fn answer(&self) -> AppendFault {
        match self {
            Self::Full => AppendFault::StorageFull,
            Self::Unprepared => AppendFault::Unavailable("a prepared statement is gone".to_owned()),
            Self::Conflict => AppendFault::Unavailable("an event could not be inserted".to_owned()),
            Self::Lost(why) | Self::Other(why) => AppendFault::Unavailable(why.clone()),
            Self::Wrong(why) => AppendFault::Damaged(why.clone()),
        }
    }
}

pub(crate) fn read_fault(error: &Error) -> ReadFault {
    match error.code() {
        Some(code) if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED => {
            ReadFault::Damaged(said(error))
        }
        _ => ReadFault::Unavailable(said(error)),
    }
}

/// What a statement without an answer means for whoever reads.
pub(crate) fn unread(fault: PoolFault) -> ReadFault {
    match fault {
        PoolFault::Failed(error) => read_fault(&error),
        fault => ReadFault::Unavailable(fault.to_string()),
    }
}
