use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cairn_eventstore::EventStore;
use cairn_eventstore::conformance::Harness;
use cairn_eventstore_jsonl::{Config, Jsonl, OpenFault};
use cairn_kernel::SimClock;
use serde_json::json;
use tempfile::TempDir;

/// A file in a folder of its own, and a clock.
pub struct Place {
    folder: TempDir,
    clock: SimClock,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), clock: SimClock::default() }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("below/events.jsonl")
    }

    pub fn try_open(&self, config: &Config) -> Result<Arc<Jsonl>, OpenFault> {
        let readable = Arc::new(|kind: &str, payload: &[u8]| {
            Some(json!({"kind": kind, "says": String::from_utf8_lossy(payload)}))
        });
        Ok(Arc::new(Jsonl::open(config, Arc::new(self.clock.clone()), readable)?))
    }

    pub fn opened(&self) -> Arc<Jsonl> {
        self.try_open(&Config::at(self.path())).unwrap()
    }

    pub fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(self.path()).unwrap().lines().map(ToOwned::to_owned).collect()
    }
}

#[async_trait]
impl Harness for Place {
    async fn open(&self) -> Arc<dyn EventStore> {
        self.opened()
    }

    async fn open_narrow(&self) -> Arc<dyn EventStore> {
        let narrow = Config { waiting_appends_max: 3, waiting_bytes_max: 100, ..Config::at(self.path()) };
        self.try_open(&narrow).unwrap()
    }

    fn clock(&self) -> &SimClock {
        &self.clock
    }
}
