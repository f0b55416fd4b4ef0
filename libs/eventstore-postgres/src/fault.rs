use std::error::Error as _;

use cairn_eventstore::{AppendFault, ReadFault};
use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

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

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DialFault {
    /// Who we are, or that we may, is denied.
    Refused(String),
    /// May be otherwise in a moment.
    Unreachable(String),
    /// The server's certificate or manner is not what was asked for.
    Unsuitable(String),
}

impl DialFault {
    pub(crate) fn of(error: &Error) -> Self {
        let why = said(error);
        match error.code() {
            Some(code)
                if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
            {
                Self::Refused(why)
            }
            // How poolers say it.
            Some(_) if why.contains("authentication failed") || why.contains("no such user") => Self::Refused(why),
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => Self::Unsuitable(why),
            Some(_) => Self::Unreachable(why),
            // The driver has no other sign of these than their text.
            None if why.contains("authentication") || why.contains("password missing") => Self::Refused(why),
            None if error.to_string().contains("TLS") => Self::Unsuitable(why),
            None => Self::Unreachable(why),
        }
    }

    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Refused(why) | Self::Unreachable(why) | Self::Unsuitable(why) => why,
        }
    }

    pub(crate) fn at(self, place: String) -> OpenFault {
        match self {
            Self::Refused(why) => OpenFault::Refused { place, why },
            Self::Unreachable(why) => OpenFault::Unreachable { place, why },
            Self::Unsuitable(why) => OpenFault::Unsuitable { place, why },
        }
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
        let Some(known) = error.as_db_error() else { return Self::Lost(said(error)) };
        let is_final = matches!(known.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
        match known.code() {
            // A server that ends a connection may do so after it has committed and before it says so.
            _ if is_final => Self::Lost(said(error)),
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

/// Whether nothing is wrong with the statement, only with the connection that it was given to.
pub(crate) fn is_lost(error: &Error) -> bool {
    matches!(Trouble::of(error), Trouble::Lost(_))
}

/// What an error says: the server's words without the values of rows, or the driver's with their causes.
pub(crate) fn said(error: &Error) -> String {
    if let Some(known) = error.as_db_error() {
        return format!("{} ({})", known.message(), known.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
