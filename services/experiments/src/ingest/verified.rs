use std::time::Duration;

use cairn_kernel::StreamName;
use moka::sync::Cache;
use tokio::time::Instant;

/// How long nobody asks again whether a run is in use.
const FRESH: Duration = Duration::from_secs(1);
/// How long it is believed while it is asked again.
const GOOD: Duration = Duration::from_secs(60);
/// Most runs remembered.
const REMEMBERED_MAX: u64 = 100_000;

/// The runs that were in use when this process last looked, so that queueing waits for no log.
pub(crate) struct Verified {
    seen: Cache<StreamName, Instant>,
}

/// What is known of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was in use a moment ago.
    Fresh,
    /// It was a while ago. Whoever is told so looks again, and nobody else does meanwhile.
    Good,
    /// It once was.
    Old,
    Unknown,
}

impl Default for Verified {
    fn default() -> Self {
        Self { seen: Cache::new(REMEMBERED_MAX) }
    }
}

impl Verified {
    /// What is known of a run.
    pub fn ask(&self, run: &StreamName) -> Standing {
        let Some(seen) = self.seen.get(run) else { return Standing::Unknown };
        match seen.elapsed() {
            age if age < FRESH => Standing::Fresh,
            age if age < GOOD => {
                self.found(run.clone());
                Standing::Good
            }
            _ => Standing::Old,
        }
    }

    /// It is in use.
    pub fn found(&self, run: StreamName) {
        self.seen.insert(run, Instant::now());
    }

    /// It is not, or not any more.
    pub fn forget(&self, run: &StreamName) {
        self.seen.invalidate(run);
    }
}
