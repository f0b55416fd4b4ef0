//! Databases that are not opened.

use std::sync::Arc;

use bytes::Bytes;
use cairn_eventstore::conformance::event;
use cairn_eventstore::{EventStore, Snapshot};
use cairn_eventstore_sqlite::{Config, OpenFault, Sqlite};
use cairn_kernel::Revision;

use crate::support::{Place, stream, write};

fn refused(place: &Place, config: &Config) -> OpenFault {
    Sqlite::open(config, Arc::new(place.clock.clone())).err().expect("it was opened")
}

#[tokio::test]
async fn a_second_writer_is_refused_until_the_first_is_gone() {
    let place = Place::new();
    let first = place.open(&place.config());
    let fault = refused(&place, &place.config());
    assert!(matches!(&fault, OpenFault::InUse { path, .. } if *path == place.path()), "{fault}");
    assert!(fault.to_string().contains("in use by another process"));
    first.append(write("a", vec![event(1)])).await.unwrap();
    drop(first);
    place.open(&place.config()).append(write("a", vec![event(2)])).await.unwrap();
}

#[tokio::test]
async fn the_folders_above_the_database_are_created() {
    let place = Place::new();
    let config = Config::at(place.folder.path().join("a/b/events.db"));
    place.open(&config).append(write("a", vec![event(1)])).await.unwrap();
    assert!(config.path.is_file());
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused_and_left_as_it_is() {
    let place = Place::new();
    drop(place.open(&place.config()));
    place.past_the_store().execute_batch("PRAGMA user_version = 3").unwrap();
    let fault = refused(&place, &place.config());
    assert!(matches!(fault, OpenFault::TooNew { found: 3, known: 2, .. }), "{fault}");
    let version: i64 = place.past_the_store().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 3);
}

#[tokio::test]
async fn another_programs_database_is_refused() {
    let place = Place::new();
    place.past_the_store().execute_batch("CREATE TABLE theirs (x); PRAGMA application_id = 77").unwrap();
    assert!(matches!(refused(&place, &place.config()), OpenFault::NotOurs { found: 77, .. }));
    let unmarked = Place::new();
    unmarked.past_the_store().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(refused(&unmarked, &unmarked.config()), OpenFault::NotOurs { found: 0, .. }));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let place = Place::new();
    std::fs::write(place.path(), "dear diary, ".repeat(100)).unwrap();
    assert!(matches!(refused(&place, &place.config()), OpenFault::Sqlite { .. }));
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_all_that_is_wrong() {
    let place = Place::new();
    let fault = refused(&place, &Config { readers: 0, batch_events_max: 0, ..place.config() });
    assert!(matches!(&fault, OpenFault::Config(problems) if problems.len() == 2), "{fault}");
}

#[tokio::test]
async fn snapshots_are_written_before_the_store_closes() {
    let place = Place::new();
    let store = place.open(&place.config());
    store.append(write("a", vec![event(1)])).await.unwrap();
    let snapshot = Snapshot { revision: Revision(0), schema: "v1".into(), state: Bytes::from_static(b"state") };
    store.keep_snapshot(&stream("a"), snapshot.clone()).await;
    drop(store);
    assert_eq!(place.open(&place.config()).snapshot(&stream("a")).await, Ok(Some(snapshot)));
}
