//! A store in a folder of its own, and what to put into it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_eventstore::conformance::{Harness, event};
use cairn_eventstore::{Direction, EventStore, Filter, NewEvent, ReadFault, Recorded, Write};
use cairn_eventstore_sqlite::{Config, Sqlite};
use cairn_kernel::{Expected, Position, SimClock, StreamName};
use rusqlite::Connection;
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

impl Place {
    /// What a crash at this moment would leave: the files as they are, in a folder of their own.
    pub fn crashed(&self) -> Place {
        let crashed = Place { folder: TempDir::new().unwrap(), clock: self.clock.clone() };
        for suffix in ["", "-wal"] {
            let name = format!("events.db{suffix}");
            std::fs::copy(self.folder.path().join(&name), crashed.folder.path().join(&name)).unwrap();
        }
        crashed
    }

    /// The write-ahead log's file.
    pub fn wal(&self) -> PathBuf {
        self.folder.path().join("events.db-wal")
    }

    /// Another connection to the database, past the store.
    pub fn past_the_store(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

pub fn stream(id: &str) -> StreamName {
    StreamName::of("test.count", id)
}

/// Events of about `bytes` bytes each.
pub fn sized(ids: std::ops::Range<u64>, bytes: usize) -> Vec<NewEvent> {
    ids.map(|n| NewEvent { payload: vec![7; bytes].into(), ..event(n) }).collect()
}

pub fn write(id: &str, events: Vec<NewEvent>) -> Vec<Write> {
    vec![Write::new(stream(id), Expected::Any, events)]
}

/// The whole log.
pub async fn log(store: &Sqlite) -> Result<Vec<Arc<Recorded>>, ReadFault> {
    let (mut from, mut events) = (Position::START, vec![]);
    loop {
        let page = store.read_all(from, Direction::Forwards, &Filter::all(), 100).await?;
        from = page.considered;
        events.extend(page.events);
        if page.is_end {
            return Ok(events);
        }
    }
}

/// Waits until something that happens by itself has happened.
pub async fn eventually(what: &str, mut has_happened: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::timeout(Duration::from_secs(30), async {
        while !has_happened().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    patience.await.unwrap_or_else(|_| panic!("{what}: it did not happen"));
}
