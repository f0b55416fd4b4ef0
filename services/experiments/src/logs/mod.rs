//! What the programs of runs print, line by line.
//!
//! Lines are bulk: they stand in a file beside the log of events, and one event tells the digest of all of them when the
//! run has ended. From then on the log takes no more, so whoever reads to its end has all of it.

mod book;
mod close;
mod config;
mod grpc;
mod watch;

use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::EventStore;
use cairn_kernel::{Clock, Code};
use cairn_service::Refusal;
use tokio::sync::{Semaphore, watch as channel};
use tonic::service::Routes;

pub use self::book::{Book, BookFault, Line, Lines, Log, Wanted};
pub use self::config::Config;
pub use self::watch::{Followed, Start};
use crate::app::App;
use crate::model::RunName;

/// The file of the lines, in the data folder.
const FILE: &str = "run-logs.sqlite";
/// Most callers that follow logs at the same time.
const WATCHERS_MAX: usize = 1000;

/// Everything that is done with run logs. Cheap to clone.
#[derive(Clone)]
pub struct RunLogs {
    inner: Arc<Inner>,
}

struct Inner {
    app: App,
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    book: Book,
    config: Config,
    /// Moves whenever a log has changed.
    changed: channel::Sender<()>,
    watchers: Arc<Semaphore>,
}

impl RunLogs {
    /// Opens the file in the data folder and starts to close the logs of runs that end. Must be called on a tokio
    /// runtime.
    pub fn start(app: App, store: Arc<dyn EventStore>, data_folder: &Path, config: Config) -> Result<Self, BookFault> {
        let book = Book::open(&data_folder.join(FILE))?;
        let clock = Arc::clone(app.clock());
        let (changed, _) = channel::channel(());
        let watchers = Arc::new(Semaphore::new(WATCHERS_MAX));
        let logs = Self { inner: Arc::new(Inner { app, store, clock, book, config, changed, watchers }) };
        close::close_what_ends(&logs);
        Ok(logs)
    }

    /// Adds the service of the contract.
    pub fn routes(&self, routes: Routes) -> Routes {
        routes.add_service(grpc::service(self.clone()))
    }

    /// How this is set up.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Adds lines to the log of a run at work.
    pub async fn append(&self, run: &RunName, lines: Lines) -> Result<Log, Refusal> {
        let state = self.inner.app.run_state(run).await?;
        state.active().map_err(|rejection| Refusal::of(&rejection))?;
        let (size_max, is_over) = (self.inner.config.run_bytes_max, state.state.is_terminal());
        let (lines, book) = (Lines { size_max, is_over, ..lines }, &self.inner.book);
        let log = match book.append(run.to_string(), lines.clone()).await {
            // It goes on again, which has not been heard yet.
            Err(BookFault::Closed) if !is_over => {
                book.reopen(run.to_string()).await?;
                book.append(run.to_string(), lines).await?
            }
            appended => appended?,
        };
        // The run may have ended meanwhile, and its end been heard when there was no log to close.
        if log.sha256.is_none() && self.inner.app.run_state(run).await?.state.is_terminal() {
            self.close(run).await?;
        }
        self.inner.changed.send_replace(());
        Ok(log)
    }

    /// The log of a run as a whole.
    pub async fn log(&self, run: &RunName) -> Result<Log, Refusal> {
        self.inner.app.run_state(run).await?;
        Ok(self.inner.book.log(run.to_string()).await?)
    }

    /// The next lines of a run's log.
    pub async fn lines(&self, run: &RunName, wanted: Wanted) -> Result<Vec<Line>, Refusal> {
        Ok(self.inner.book.lines(run.to_string(), wanted).await?)
    }

    /// Removes the logs of runs that were deleted long ago. Gives how many.
    pub async fn forget_deleted(&self) -> Result<usize, BookFault> {
        let days = i64::try_from(self.inner.config.deleted_days_max).unwrap_or(i64::MAX);
        let before = self.inner.clock.now().micros().saturating_sub(days.saturating_mul(86_400_000_000));
        self.inner.book.forget_deleted(cairn_kernel::Time::from_micros(before)).await
    }
}

impl From<BookFault> for Refusal {
    fn from(fault: BookFault) -> Self {
        let message = fault.to_string();
        match fault {
            BookFault::Closed => Self::new(Code::FailedPrecondition, "RUN_LOG_CLOSED", message),
            BookFault::Conflict { number } => {
                Self::new(Code::AlreadyExists, "RUN_LOG_CONFLICT", message).with("number", number)
            }
            BookFault::Reused => Self::new(Code::AlreadyExists, "REQUEST_ID_REUSED", message),
            BookFault::Gap { next, given } => {
                Self::new(Code::OutOfRange, "RUN_LOG_GAP", message).with("next", next).with("given", given)
            }
            BookFault::Full { size_max } => {
                Self::new(Code::ResourceExhausted, "RUN_LOG_FULL", message).with("size_max", size_max)
            }
            BookFault::Sql(fault) if fault.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
                Self::new(Code::Unavailable, "STORAGE_FULL", "the disk is full")
                    .after(std::time::Duration::from_secs(5))
            }
            BookFault::Sql(_) | BookFault::Stopping => {
                let mut refusal = Self::new(Code::Internal, "STORAGE_ERROR", "the run logs cannot be read or written");
                refusal.cause = Some(message.into());
                refusal
            }
        }
    }
}
