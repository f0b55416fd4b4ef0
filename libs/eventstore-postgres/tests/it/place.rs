use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_eventstore::conformance::{Harness, event};
use cairn_eventstore::{AppendFault, Direction, EventStore, Filter, Recorded, Write};
use cairn_eventstore_postgres::{Config, OpenFault, Postgres};
use cairn_kernel::{Expected, Position, SimClock, StreamName};
use cairn_testkit::postgres::Postgres as Server;
use tokio_postgres::{Client, NoTls};

/// What servers share.
pub fn cache() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// A server of its own, and a clock.
pub struct Place {
    pub server: Server,
    clock: SimClock,
}

impl Place {
    pub fn new() -> Self {
        Self { server: Server::started(cache()), clock: SimClock::default() }
    }

    /// Small caches, so that nothing passes only because it never left memory.
    pub fn config(&self) -> Config {
        Config { cached_heads_max: 8, ring_events_max: 64, ..Config::at(self.server.url()) }
    }

    pub async fn try_open(&self, config: &Config) -> Result<Arc<Postgres>, OpenFault> {
        Ok(Arc::new(Postgres::open(config, Arc::new(self.clock.clone())).await?))
    }

    pub async fn opened(&self) -> Arc<Postgres> {
        self.try_open(&self.config()).await.unwrap()
    }

    /// A connection past the store, as the superuser's.
    pub async fn client(&self) -> Client {
        client(&self.server.url()).await
    }
}

pub async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[async_trait]
impl Harness for Place {
    async fn open(&self) -> Arc<dyn EventStore> {
        self.opened().await
    }

    async fn open_narrow(&self) -> Arc<dyn EventStore> {
        self.try_open(&Config { waiting_appends_max: 3, ..self.config() }).await.unwrap()
    }

    fn clock(&self) -> &SimClock {
        &self.clock
    }
}

pub fn stream(id: &str) -> StreamName {
    StreamName::of("test.count", id)
}

pub fn write(id: &str, expected: Expected, events: impl IntoIterator<Item = u64>) -> Write {
    Write::new(stream(id), expected, events.into_iter().map(event).collect())
}

/// Appends whatever comes, and gives the position.
pub async fn append(
    store: &dyn EventStore,
    id: &str,
    events: impl IntoIterator<Item = u64>,
) -> Result<Position, AppendFault> {
    store.append(vec![write(id, Expected::Any, events)]).await.map(|appended| appended.position)
}

/// Waits until a store has seen a position.
pub async fn reached(store: &dyn EventStore, position: u64) {
    let mut head = store.head();
    let reached = head.wait_for(|head| head.0 >= position);
    tokio::time::timeout(Duration::from_secs(10), reached).await.expect("the position is seen in time").unwrap();
}

/// Every event of the log that a store knows.
pub async fn log(store: &dyn EventStore) -> Vec<Arc<Recorded>> {
    let (mut events, mut from) = (vec![], Position::START);
    loop {
        let page = store.read_all(from, Direction::Forwards, &Filter::all(), 1_000).await.unwrap();
        from = page.considered;
        events.extend(page.events);
        if page.is_end {
            return events;
        }
    }
}

/// A log has every position once and every revision of every stream once, in order.
pub fn assert_whole(log: &[Arc<Recorded>]) {
    let mut revisions = std::collections::HashMap::new();
    for (position, event) in (1..).zip(log) {
        assert_eq!(event.position, Position(position), "a gap before {}", event.position);
        let next = revisions.entry(event.stream.clone()).or_insert(0);
        assert_eq!(event.revision.0, *next, "a gap in {} at {}", event.stream, event.position);
        *next += 1;
    }
}
