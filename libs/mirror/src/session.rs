//! One connection while it holds, and why it ends.

use std::future::Future;
use std::time::Duration;

use cairn_postgres::{DialFault, Link, said};
use tokio::time::timeout;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::follow::Limits;
use crate::schema::{Schema, Unfit};

/// Why a session is over.
#[derive(Debug)]
pub(crate) enum End {
    /// It is another process's turn.
    Turn,
    /// The database does not do what it is asked.
    Away(String),
    /// Somebody has to change something first.
    Unsuitable { why: String, openly: &'static str },
    /// A view cannot be read.
    View(String),
}

impl From<Unfit> for End {
    fn from(unfit: Unfit) -> Self {
        let openly = match unfit {
            Unfit::TooNew { .. } => "READ_MODELS_TOO_NEW",
            Unfit::Foreign { .. } => "READ_MODELS_FOREIGN",
        };
        Self::Unsuitable { why: unfit.to_string(), openly }
    }
}

impl End {
    pub fn no_way_in(place: &str, fault: &DialFault) -> Self {
        match fault {
            DialFault::Unreachable(why) => Self::Away(format!("{place}: {why}")),
            DialFault::Refused(why) => Self::Unsuitable {
                why: format!("DB_AUTH_FAILED: {place} was refused: {why}"),
                openly: "DB_AUTH_FAILED",
            },
            DialFault::Unsuitable(why) => {
                Self::Unsuitable { why: format!("{place}: {why}"), openly: "the database is not as it has to be" }
            }
        }
    }

    pub fn failed(error: &Error) -> Self {
        match error.code() {
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                Self::Unsuitable { why: said(error), openly: "the user of the database lacks privileges" }
            }
            _ => Self::Away(said(error)),
        }
    }
}

/// A connection whose statements are given up when they are late. The connection is not to be used after that.
#[derive(Clone, Copy)]
pub(crate) struct Session<'a> {
    pub link: &'a Link,
    pub schema: &'a Schema,
    pub limits: &'a Limits,
    /// Whose turn it is.
    pub turn: i64,
}

/// A process that stands still in the middle of a transaction would otherwise keep all others from taking over.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'";

impl Session<'_> {
    pub async fn run<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, End> {
        within(self.limits.patience, work).await
    }

    pub async fn execute(&self, sql: &str) -> Result<(), End> {
        self.run(self.link.batch_execute(sql)).await
    }

    /// What takes as long as there are rows.
    pub async fn build(&self, sql: &str) -> Result<(), End> {
        within(self.limits.building_patience, self.link.batch_execute(sql)).await
    }

    /// Begins a transaction in which nobody else's turn begins.
    pub async fn begin(&self) -> Result<(), End> {
        self.execute(BEGIN).await?;
        self.renew().await
    }

    pub async fn renew(&self) -> Result<(), End> {
        match self.run(self.schema.renew(self.link, self.turn, self.limits.lease)).await? {
            true => Ok(()),
            false => Err(End::Turn),
        }
    }
}

pub(crate) async fn within<T>(patience: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, End> {
    match timeout(patience, work).await {
        Ok(done) => done.map_err(|error| End::failed(&error)),
        Err(_) => Err(End::Away(format!("no answer within {} ms", patience.as_millis()))),
    }
}
