use std::sync::Arc;
use std::sync::atomic::Ordering;

use cairn_eventstore::AppendFault;
use tokio::sync::oneshot;

use crate::Entry;
use crate::queue::Job;
use crate::store::stopped;
use crate::writer::Shared;

/// Where a copy is told what others append to its primary log. Does not keep it open.
#[derive(Clone)]
pub struct Feed {
    pub(crate) shared: Arc<Shared>,
}

impl Feed {
    /// Entries of the primary log that are here.
    pub fn held(&self) -> u64 {
        self.shared.held.load(Ordering::Acquire)
    }

    /// Whether the copy takes in nothing any more.
    pub fn is_closed(&self) -> bool {
        self.shared.queue.is_closed()
    }

    /// Takes in entries that the primary log has behind its first `from`. Gives how many are here then: fewer than told if
    /// some before them are missing.
    pub async fn follow(&self, from: u64, entries: Vec<Entry>) -> Result<u64, AppendFault> {
        let bytes = entries.iter().map(Entry::bytes).sum();
        let (answer, answered) = oneshot::channel();
        self.shared.queue.push(Job::Follow { from, entries, bytes, answer })?;
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }
}
