use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use crate::role::is_reading;

/// How long ago the replica was last known to hold every access change there is.
///
/// Measured on the monotonic clock: setting the machine's time makes nothing fresh, and a process that was paused finds
/// itself stale until it has asked again.
pub(crate) struct Freshness {
    known: ArcSwapOption<Instant>,
    writes_after: Duration,
    everything_after: Duration,
}

impl Freshness {
    pub fn new(writes_after: Duration, everything_after: Duration) -> Self {
        Self { known: ArcSwapOption::empty(), writes_after, everything_after }
    }

    /// At `asked`, nothing was missing.
    pub fn confirm(&self, asked: Instant) {
        self.known.store(Some(asked.into()));
    }

    /// Whether the replica is too old to decide on a permission. Reads are borne with longer than changes.
    pub fn refuses(&self, permission: &str) -> bool {
        self.is_older_than(if is_reading(permission) { self.everything_after } else { self.writes_after })
    }

    /// Whether the replica is too old for anything.
    pub fn refuses_everything(&self) -> bool {
        self.is_older_than(self.everything_after)
    }

    /// How old it is; `None`: never known to be complete.
    pub fn age(&self) -> Option<Duration> {
        self.known.load().as_ref().map(|known| known.elapsed())
    }

    fn is_older_than(&self, limit: Duration) -> bool {
        self.age().is_none_or(|age| age > limit)
    }
}
