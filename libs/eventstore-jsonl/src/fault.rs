use std::io;
use std::path::PathBuf;

/// Why the file does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    #[error("{path} cannot be opened")]
    Io { path: PathBuf, source: io::Error },
    /// Another process has it open, or this one twice.
    #[error("{path} is in use by another process: two writers would destroy it")]
    InUse { path: PathBuf },
    /// Another program's file. Nothing is changed.
    #[error("{path} is not an event store of ours: its first line is none that this program writes")]
    NotOurs { path: PathBuf },
    /// A line that was once synced is not what was written. Nothing is changed.
    #[error(
        "{path} is damaged at line {line}: {why}; what follows it was written later, so it is no crash. Restore the file from a copy"
    )]
    Damaged { path: PathBuf, line: u64, why: String },
}
