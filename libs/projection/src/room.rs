use std::sync::Arc;

use cairn_eventstore::Recorded;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of events that may be read ahead of the thread that writes. One page may exceed it, two never do together.
const BYTES_AHEAD_MAX: usize = 32 << 20;

/// Keeps reading from running away from writing: whoever reads takes room for what was read, and it is free again once
/// that is written.
#[derive(Clone)]
pub(crate) struct Room(Arc<Semaphore>);

/// Room taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(BYTES_AHEAD_MAX)))
    }

    /// Waits until there is room for these events.
    pub async fn take(&self, events: &[Arc<Recorded>]) -> Taken {
        let bytes: usize = events.iter().map(|event| event.payload.len() + event.metadata.len()).sum();
        let permits = u32::try_from(bytes.min(BYTES_AHEAD_MAX)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        Taken { _permit: Arc::clone(&self.0).acquire_many_owned(permits).await.ok() }
    }
}
