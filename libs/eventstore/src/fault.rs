use std::time::Duration;

use cairn_kernel::{Expected, Revision, StreamName};

/// Why an append was refused. Nothing of it is in the log.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AppendFault {
    /// Somebody else wrote to the stream first, or the caller's belief was wrong.
    #[error("stream {stream} is at {}, expected {expected}", actual.map_or("no revision".to_owned(), |r| format!("revision {r}")))]
    WrongRevision { stream: StreamName, expected: Expected, actual: Option<Revision> },
    /// Some of the event ids are in the stream already and some are not, so this is not a repeat.
    #[error("some of the events for stream {stream} are already in it and some are not")]
    PartlyAppended { stream: StreamName },
    /// Too many appends are waiting. Nothing was queued; try again after the delay.
    #[error("too many appends are waiting")]
    Busy { retry_after: Duration },
    /// The disk has no room. Reads go on; writes succeed again once there is space.
    #[error("the event store's disk is full")]
    StorageFull,
    /// A write that can never succeed as it is.
    #[error("append refused: {0}")]
    Invalid(String),
    /// What is stored of a stream cannot be what was written, so nothing is added to it. Other streams are not concerned.
    #[error("the event store is damaged: {0}")]
    Damaged(String),
    /// The store has stopped or cannot be reached. Whether the events are in the log is unknown: repeat with the same ids.
    #[error("the event store is unavailable: {0}")]
    Unavailable(String),
}

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReadFault {
    #[error("the event store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be what was written.
    #[error("the event store is damaged: {0}")]
    Damaged(String),
}

/// A stored event that its own service cannot read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeFault {
    #[error("event type {0} is unknown here")]
    UnknownKind(String),
    #[error("event of type {kind} does not decode: {message}")]
    Malformed { kind: String, message: String },
}
