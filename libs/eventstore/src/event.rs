use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use cairn_kernel::{Metadata, Position, Revision, StreamName, Time};
use uuid::Uuid;

/// An event about to be appended.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Names the event for ever. Appending the same id to the same stream again appends nothing.
    pub id: Uuid,
    /// Full name of the payload's message, e.g. `cairn.registry.events.v1.AliasMoved`.
    pub kind: Cow<'static, str>,
    /// The message, as protobuf.
    pub payload: Bytes,
    /// [`Metadata`] as stored.
    pub metadata: Bytes,
}

/// An event as the log holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub id: Uuid,
    pub stream: StreamName,
    pub kind: Arc<str>,
    pub revision: Revision,
    pub position: Position,
    /// When the writer accepted it. Never runs backwards along positions.
    pub time: Time,
    pub payload: Bytes,
    pub metadata: Bytes,
}

impl Recorded {
    /// Who, for which request, under which decision.
    pub fn metadata(&self) -> Metadata {
        Metadata::decode(&self.metadata)
    }
}
