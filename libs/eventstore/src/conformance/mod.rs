//! What every backend must do: one suite, run by each of them.
//!
//! A backend writes a [`Harness`] and one line, `cairn_eventstore::conformance!(MyHarness::new());`, in its tests. Each
//! case becomes a test of its own on a fresh harness.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_kernel::{Expected, Position, Revision, SimClock, StreamName};
use uuid::Uuid;

use crate::{Appended, Direction, EventStore, Filter, NewEvent, Page, Recorded, Write};

pub mod append;
pub mod pressure;
pub mod read;
pub mod reopen;
pub mod repeat;
pub mod retention;
pub mod subscribe;

mod cases;

/// A backend under test.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Opens the store: empty the first time, afterwards with all it held. Every handle to the former one is gone by
    /// then.
    async fn open(&self) -> Arc<dyn EventStore>;

    /// The same with room for only a few waiting appends, if the backend queues them at all.
    async fn open_narrow(&self) -> Arc<dyn EventStore> {
        self.open().await
    }

    /// The clock the store takes its times from.
    fn clock(&self) -> &SimClock;
}

/// Event number `n`: its id, type and contents follow from the number.
pub fn event(n: u64) -> NewEvent {
    typed_event(n, "cairn.test.events.v1.Counted")
}

fn typed_event(n: u64, kind: &'static str) -> NewEvent {
    NewEvent {
        id: Uuid::from_u128(u128::from(n) << 16 | 0x8000),
        kind: kind.into(),
        payload: Bytes::from(format!("payload {n}")),
        metadata: Bytes::from(format!(r#"{{"principal":"users/{n}"}}"#)),
    }
}

fn stream(id: &str) -> StreamName {
    StreamName::of("test.count", id)
}

fn write(id: &str, expected: Expected, events: impl IntoIterator<Item = u64>) -> Write {
    Write::new(stream(id), expected, events.into_iter().map(event).collect())
}

fn at(revision: u64) -> Expected {
    Expected::Exactly(Revision(revision))
}

async fn append(store: &Arc<dyn EventStore>, id: &str, events: impl IntoIterator<Item = u64>) -> Appended {
    store.append(vec![write(id, Expected::Any, events)]).await.expect("an append of new events succeeds")
}

async fn read(
    store: &Arc<dyn EventStore>,
    id: &str,
    from: u64,
    direction: Direction,
    limit: usize,
) -> Vec<Arc<Recorded>> {
    store.read(&stream(id), Revision(from), direction, limit).await.expect("a stream reads")
}

async fn read_all(store: &Arc<dyn EventStore>, from: u64, direction: Direction, filter: &Filter, limit: usize) -> Page {
    store.read_all(Position(from), direction, filter, limit).await.expect("the log reads")
}

/// Every event of the log, in pages of a size that divides nothing.
async fn whole_log(store: &Arc<dyn EventStore>, filter: &Filter) -> Vec<Arc<Recorded>> {
    let mut events = vec![];
    let mut from = Position::START;
    loop {
        let page = read_all(store, from.0, Direction::Forwards, filter, 97).await;
        assert!(page.considered > from || page.is_end, "a page after {from} got nowhere");
        from = page.considered;
        events.extend(page.events);
        if page.is_end {
            return events;
        }
    }
}

fn positions(events: &[Arc<Recorded>]) -> Vec<u64> {
    events.iter().map(|event| event.position.0).collect()
}

fn revisions(events: &[Arc<Recorded>]) -> Vec<u64> {
    events.iter().map(|event| event.revision.0).collect()
}

fn head(store: &Arc<dyn EventStore>) -> u64 {
    store.head().borrow().0
}
