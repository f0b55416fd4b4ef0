use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq)]
pub enum DialFault {
    /// Who we are, or that we may, is denied.
    Refused(String),
    /// May be otherwise in a moment.
    Unreachable(String),
    /// The server's certificate or manner is not what was asked for.
    Unsuitable(String),
}

impl DialFault {
    /// What an error of the driver means for whoever wants in.
    pub fn of(error: &Error) -> Self {
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

    /// The server's or the driver's words.
    pub fn why(&self) -> &str {
        match self {
            Self::Refused(why) | Self::Unreachable(why) | Self::Unsuitable(why) => why,
        }
    }
}

/// Whether nothing is wrong with the statement, only with the connection that it was given to. A server that ends a
/// connection may do so after it has committed and before it says so.
pub fn is_lost(error: &Error) -> bool {
    let severity = error.as_db_error().map(|known| known.parsed_severity());
    severity.is_none_or(|severity| matches!(severity, Some(Severity::Fatal | Severity::Panic)))
}

/// What an error says: the server's words without the values of rows, or the driver's with their causes.
pub fn said(error: &Error) -> String {
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
