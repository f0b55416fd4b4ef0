//! A log kept elsewhere, of which the database here is a copy that answers quickly.

use std::sync::Arc;

use cairn_eventstore::{AppendFault, Recorded, Retention};
use cairn_kernel::StreamName;
use uuid::Uuid;

/// One entry of the primary log. They are counted from its first.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Event(Arc<Recorded>),
    /// How much of a stream is kept from here on.
    Retention(StreamName, Retention),
}

impl Entry {
    /// The event that it is, if it is one.
    pub fn event(&self) -> Option<&Arc<Recorded>> {
        match self {
            Self::Event(event) => Some(event),
            Self::Retention(..) => None,
        }
    }

    /// Bytes that it holds of an event, as queues count them.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Event(event) => event.payload.len() + event.metadata.len(),
            Self::Retention(..) => 0,
        }
    }
}

/// Why nothing was appended.
#[derive(Debug)]
pub enum PrimaryFault {
    /// Others appended meanwhile: these come next, if not all of them.
    Behind(Vec<Entry>),
    /// It may have happened all the same. Should it have, it is found when the log is followed.
    Failed(AppendFault),
}

/// The log that counts. What is appended to the copy is appended here first.
pub trait Primary: Send + 'static {
    /// The name of the log, so that a copy is never continued with another one.
    fn log(&self) -> Uuid;

    /// Bytes of events that are appended together at most; a single append may be larger.
    fn batch_bytes_max(&self) -> usize;

    /// Appends entries behind the first `held`, all of them or none. Without entries only sees whether those are all there
    /// are. Blocks until it is durable.
    fn append(&mut self, held: u64, entries: &[Entry]) -> Result<(), PrimaryFault>;
}
