use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The right to work on a partition, for as long as it lasts. Cheap to clone.
///
/// Not a fence: whoever was stopped between asking and acting acts late. What is done under it must bear that.
#[derive(Clone, Debug)]
pub struct Lease {
    until: Arc<watch::Sender<Instant>>,
    end: CancellationToken,
}

impl Lease {
    pub(crate) fn new(until: Arc<watch::Sender<Instant>>) -> Self {
        Self { until, end: CancellationToken::new() }
    }

    /// Whether it holds now.
    pub fn holds(&self) -> bool {
        Instant::now() < *self.until.borrow()
    }

    /// Whether the partition is to be given up: what is begun is brought to its end, and nothing new is begun.
    pub fn is_ending(&self) -> bool {
        self.end.is_cancelled()
    }

    /// Waits until the partition is to be given up.
    pub async fn ending(&self) {
        self.end.cancelled().await;
    }

    pub(crate) fn end(&self) {
        self.end.cancel();
    }
}
