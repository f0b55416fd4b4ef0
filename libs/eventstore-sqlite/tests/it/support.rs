//! A store in a folder of its own, and what to put into it.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cairn_eventstore::EventStore;
use cairn_eventstore::conformance::Harness;
use cairn_eventstore_sqlite::{Config, Sqlite};
use cairn_kernel::SimClock;
use tempfile::TempDir;

/// A folder that is removed in the end, and a clock.
pub struct Place {
    pub folder: TempDir,
    pub clock: SimClock,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), clock: SimClock::default() }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("events.db")
    }

    /// Small caches, so that nothing passes only because it never left memory.
    pub fn config(&self) -> Config {
        Config { cached_heads_max: 8, ring_events_max: 64, ..Config::at(self.path()) }
    }

    pub fn open(&self, config: &Config) -> Arc<Sqlite> {
        Arc::new(Sqlite::open(config, Arc::new(self.clock.clone())).unwrap())
    }
}

#[async_trait]
impl Harness for Place {
    async fn open(&self) -> Arc<dyn EventStore> {
        self.open(&self.config())
    }

    async fn open_narrow(&self) -> Arc<dyn EventStore> {
        self.open(&Config { waiting_appends_max: 3, ..self.config() })
    }

    fn clock(&self) -> &SimClock {
        &self.clock
    }
}
