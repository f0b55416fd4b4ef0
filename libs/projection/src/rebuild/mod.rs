//! Building a view a second time, beside the one that runs: to compare the two, or to take its place.

mod build;
mod digest;
mod swap;

use std::path::PathBuf;
use std::time::Duration;

use cairn_eventstore::ReadFault;
use cairn_kernel::Position;

use crate::QueryFault;

pub(crate) use build::{Purpose, Source};
pub use digest::Difference;
pub(crate) use swap::swap;

/// What comparing a view with its own history found.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub view: &'static str,
    /// Both were compared as they are at this position.
    pub position: Position,
    pub rebuilt: Rebuilt,
    pub tables: Vec<TableVerdict>,
}

/// One table, as it is and as its history makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableVerdict {
    pub table: String,
    pub live: TableDigest,
    pub rebuilt: TableDigest,
    /// Where they part, if they do.
    pub difference: Option<Difference>,
}

/// All rows of a table in the order of its key, as one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDigest {
    pub rows: u64,
    /// SHA-256, hex, over every value with its type.
    pub sha256: String,
}

/// What a rebuild took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rebuilt {
    pub position: Position,
    /// Events folded in.
    pub events: u64,
    /// Events set aside because they could not be.
    pub quarantined: u64,
    pub took: Duration,
}

/// Why a view could not be built a second time. The running one is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildFault {
    #[error(transparent)]
    Read(#[from] ReadFault),
    #[error(transparent)]
    Query(#[from] QueryFault),
    #[error("the scratch file cannot be written: {0}")]
    Scratch(String),
    #[error("view {view} has stopped")]
    Stopped { view: &'static str },
}

impl Verdict {
    /// Whether the view is what its history says.
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(|table| table.live == table.rebuilt)
    }
}

impl From<rusqlite::Error> for RebuildFault {
    fn from(fault: rusqlite::Error) -> Self {
        Self::Query(fault.into())
    }
}

/// Builds the view again up to where the running one is, and compares.
///
/// Holds one state of the running view's file open all the while, so its write-ahead log grows until this is done.
pub(crate) fn verify(source: &Source) -> Result<Verdict, RebuildFault> {
    let definition = &source.definition;
    let mut live = crate::file::open_reader(&source.live)?;
    let live = live.transaction()?;
    let checkpoint = crate::catalog::checkpoint(&live, definition.name)?.unwrap_or_default();

    let scratch = source.scratch(Purpose::Verify);
    let rebuilt = source.build(&scratch, checkpoint.position)?;
    let built = crate::file::open_reader(&scratch.0)?;
    let mut tables = vec![];
    for table in definition.tables.iter().filter(|table| !table.is_view) {
        tables.push(digest::compare(&live, &built, &table.name)?);
    }
    Ok(Verdict { view: definition.name, position: checkpoint.position, rebuilt, tables })
}

/// A file that is removed when it is no longer needed.
pub(crate) struct Scratch(pub PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(fault) = crate::file::remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %fault, "scratch file could not be removed");
        }
    }
}
