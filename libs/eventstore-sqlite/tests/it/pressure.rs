//! A writer that is held up, so that the queue fills.

use cairn_eventstore::conformance::event;
use cairn_eventstore::{AppendFault, EventStore};
use cairn_eventstore_sqlite::Config;
use futures::future::join_all;

use crate::support::{Place, sized, write};

#[tokio::test]
async fn no_more_appends_wait_than_there_is_room_for() {
    let place = Place::new();
    let store = place.open(&Config { waiting_appends_max: 5, ..place.config() });
    let other = place.past_the_store();
    // Whoever else holds the database's write lock holds up the writer.
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting: Vec<_> = (0..5).map(|n| store.append(write("a", vec![event(n)]))).collect();
    let refused = store.append(write("a", vec![event(9)])).await;
    assert!(matches!(refused, Err(AppendFault::Busy { .. })), "{refused:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert!(join_all(waiting).await.iter().all(Result::is_ok));
    store.append(write("a", vec![event(9)])).await.unwrap();
}

#[tokio::test]
async fn no_more_bytes_wait_than_there_is_room_for() {
    let place = Place::new();
    let store = place.open(&Config { waiting_bytes_max: 10_000, ..place.config() });
    let other = place.past_the_store();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The first fits however large it is, or it would never be stored.
    let waiting = store.append(write("a", sized(0..1, 50_000)));
    let refused = store.append(write("a", sized(1..2, 10))).await;
    assert!(matches!(refused, Err(AppendFault::Busy { .. })), "{refused:?}");
    other.execute_batch("ROLLBACK").unwrap();
    waiting.await.unwrap();
    store.append(write("a", sized(1..2, 10))).await.unwrap();
}
