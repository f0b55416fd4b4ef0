//! Events that need not be kept leave the disk.

use std::time::Duration;

use cairn_eventstore::conformance::event;
use cairn_eventstore::{AppendFault, Direction, EventStore, Retention};
use cairn_eventstore_sqlite::Config;
use cairn_kernel::{Position, Revision};

use crate::support::{Place, eventually, log, stream, write};

fn stored(place: &Place, id: &str) -> u64 {
    let sql = "SELECT count(*) FROM events JOIN streams s ON s.id = stream WHERE s.name = ?1";
    place.past_the_store().query_row(sql, [stream(id).as_str()], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn what_is_beyond_count_or_age_is_removed_and_positions_stay() {
    let place = Place::new();
    let store = place.open(&Config { sweep_interval_ms: 1, ..place.config() });
    let many = (0..1_000).map(event).collect();
    store.append(write("counted", many)).await.unwrap();
    store.append(write("aged", vec![event(1), event(2)])).await.unwrap();
    store.append(write("kept", vec![event(1), event(2)])).await.unwrap();
    let counted = Retention { max_count: Some(10), ..Retention::default() };
    let aged = Retention { max_age: Some(Duration::from_secs(60)), ..Retention::default() };
    store.retain(&stream("counted"), counted).await.unwrap();
    store.retain(&stream("aged"), aged).await.unwrap();
    eventually("removal by count", async || stored(&place, "counted") == 10).await;
    assert_eq!(stored(&place, "aged"), 2);
    place.clock.advance(Duration::from_secs(61));
    // The last one is hidden, but stays: it holds the stream's revision.
    eventually("removal by age", async || stored(&place, "aged") == 1).await;
    assert_eq!(stored(&place, "kept"), 2);
    let seen = log(&store).await.unwrap();
    let positions: Vec<u64> = seen.iter().map(|event| event.position.0).collect();
    assert_eq!(positions, (991..=1_000).chain([1_003, 1_004]).collect::<Vec<u64>>());
    let appended = store.append(write("aged", vec![event(3)])).await.unwrap();
    assert_eq!((appended.position, appended.revisions), (Position(1_005), vec![Some(Revision(2))]));
    drop(store);
    let store = place.open(&place.config());
    let found = store.read(&stream("counted"), Revision(0), Direction::Forwards, 999).await.unwrap();
    assert_eq!(found.first().map(|event| event.revision), Some(Revision(990)));
}

#[tokio::test]
async fn a_retention_that_cannot_be_stored_is_refused() {
    let place = Place::new();
    drop(place.open(&place.config()));
    // As many categories as there may be.
    let many = "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 65536)
                INSERT INTO categories (id, name) SELECT id, 'test.c' || id FROM n";
    place.past_the_store().execute(many, []).unwrap();
    let store = place.open(&place.config());
    let retention = Retention { max_count: Some(1), ..Retention::default() };
    let refused = store.retain(&stream("a"), retention).await;
    assert!(matches!(refused, Err(AppendFault::Invalid(_))), "{refused:?}");
}
