//! Where each stream's events are found, while the entries of the index move from one table to the other.

use cairn_eventstore::conformance::event;
use cairn_eventstore::{AppendFault, Direction, EventStore, Retention};
use cairn_eventstore_sqlite::{Config, Sqlite};
use cairn_kernel::Revision;
use futures::future::join_all;

use crate::crash::{tear, written};
use crate::support::{Place, stream, write};

const STREAMS: u64 = 300;

/// Appends `events` one by one, in batches as they come, to streams in an order without a pattern.
async fn fill(store: &Sqlite, events: std::ops::Range<u64>) {
    for some in events.collect::<Vec<_>>().chunks(400) {
        let waiting = some.iter().map(|&n| store.append(write(&name(n), vec![event(n)])));
        for outcome in join_all(waiting).await {
            outcome.unwrap();
        }
    }
}

fn name(n: u64) -> String {
    format!("s{}", n * n * 7 % STREAMS)
}

/// Every stream holds its events in order, whichever way and however many at a time they are read.
async fn check(store: &Sqlite, events: u64) {
    let mut expected = vec![vec![]; STREAMS as usize];
    for n in 0..events {
        expected[(n * n * 7 % STREAMS) as usize].push(event(n).id);
    }
    for (at, expected) in expected.iter().enumerate() {
        let stream = stream(&format!("s{at}"));
        let mut forwards = vec![];
        loop {
            let page = store.read(&stream, Revision(forwards.len() as u64), Direction::Forwards, 31).await.unwrap();
            if page.is_empty() {
                break;
            }
            forwards.extend(page);
        }
        let revisions: Vec<u64> = forwards.iter().map(|event| event.revision.0).collect();
        assert_eq!(revisions, (0..expected.len() as u64).collect::<Vec<_>>());
        assert_eq!(&forwards.iter().map(|event| event.id).collect::<Vec<_>>(), expected);
        let mut backwards = store.read(&stream, Revision(u64::MAX), Direction::Backwards, 100_000).await.unwrap();
        backwards.reverse();
        assert_eq!(backwards, forwards);
    }
}

/// Entries in the recent table, in the large one, and those of either that lead to no event of theirs.
fn entries(place: &Place) -> (u64, u64, u64) {
    let count = |sql: &str| place.past_the_store().query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
    let astray = "SELECT count(*) FROM (SELECT * FROM by_stream UNION ALL SELECT * FROM by_stream_recent) i
                  LEFT JOIN events e ON (e.position, e.stream, e.revision) = (i.position, i.stream, i.revision)
                  WHERE e.position IS NULL";
    (count("SELECT count(*) FROM by_stream_recent"), count("SELECT count(*) FROM by_stream"), count(astray))
}

#[tokio::test]
async fn streams_read_the_same_wherever_their_entries_are() {
    let place = Place::new();
    let store = place.open(&place.config());
    fill(&store, 0..4_000).await;
    assert_eq!(entries(&place), (4_000, 0, 0), "few entries do not move");
    check(&store, 4_000).await;
    fill(&store, 4_000..9_000).await;
    check(&store, 9_000).await;
    let crashed = place.crashed();
    drop(store);
    let store = place.open(&place.config());
    fill(&store, 9_000..15_000).await;
    check(&store, 15_000).await;
    let (recent, large, astray) = entries(&place);
    assert_eq!((recent + large, astray), (15_000, 0));
    assert!(recent < 5_000, "{recent} entries have not moved");
    // What a crash leaves goes on the same way.
    let store = crashed.open(&crashed.config());
    fill(&store, 9_000..12_000).await;
    check(&store, 12_000).await;
}

#[tokio::test]
async fn a_crash_while_entries_move_leaves_each_event_in_its_place() {
    let place = Place::new();
    // Nothing is moved out of the log meanwhile.
    let store = place.open(&Config { checkpoint_bytes: 1 << 30, ..place.config() });
    fill(&store, 0..8_000).await;
    let size = written(&place);
    let mut kept = vec![];
    for cut in (1..=8).map(|step| size * step / 8) {
        let crashed = place.crashed();
        tear(&crashed, cut, true);
        let store = crashed.open(&crashed.config());
        let events = store.head().borrow().0;
        check(&store, events).await;
        let (recent, large, astray) = entries(&crashed);
        assert_eq!((recent + large, astray), (events, 0));
        kept.push((events, large > 0));
    }
    assert_eq!(kept.last(), Some(&(8_000, true)));
    assert!(kept.iter().any(|(events, has_moved)| *has_moved && *events < 8_000), "{kept:?}");
}

#[tokio::test]
async fn a_repeat_is_answered_as_the_first_time_after_its_entries_have_moved() {
    let place = Place::new();
    let store = place.open(&place.config());
    let first = store.append(write("once", vec![event(900_000)])).await.unwrap();
    let long = (800_000..800_100).map(event).collect::<Vec<_>>();
    let together = store.append(write("once", long.clone())).await.unwrap();
    assert_eq!(together.revisions, [Some(Revision(100))]);
    store.append(write("once", vec![event(900_001)])).await.unwrap();
    for moved in [false, true] {
        let again = store.append(write("once", vec![event(900_000)])).await.unwrap();
        assert!(again.is_repeat, "{moved}");
        assert_eq!((again.position, &again.revisions), (first.position, &first.revisions), "{moved}");
        let again = store.append(write("once", long.clone())).await.unwrap();
        assert_eq!((again.position, &again.revisions), (together.position, &together.revisions), "{moved}");
        let partly = store.append(write("once", vec![event(1_000_000), event(900_000)])).await;
        assert!(matches!(partly, Err(AppendFault::PartlyAppended { .. })), "{partly:?}");
        let (_, large, astray) = entries(&place);
        assert_eq!((large > 100, astray), (moved, 0));
        fill(&store, 0..10_000).await;
    }
    check(&store, 10_000).await;
}

#[tokio::test]
async fn what_is_removed_from_the_log_leaves_the_index_too() {
    let place = Place::new();
    let store = place.open(&Config { sweep_interval_ms: 1, ..place.config() });
    fill(&store, 0..9_000).await;
    let before = store.read(&stream("s0"), Revision(0), Direction::Forwards, 100_000).await.unwrap().len() as u64;
    let kept = Retention { max_count: Some(2), ..Retention::default() };
    store.retain(&stream("s0"), kept).await.unwrap();
    let is_gone = async || {
        let (recent, large, astray) = entries(&place);
        assert_eq!(astray, 0);
        recent + large == 9_000 - before + 2
    };
    crate::support::eventually("removal", is_gone).await;
    drop(store);
    let store = place.open(&place.config());
    let found = store.read(&stream("s0"), Revision(0), Direction::Forwards, 100).await.unwrap();
    assert_eq!(found.iter().map(|event| event.revision.0).collect::<Vec<_>>(), [before - 2, before - 1]);
}

#[tokio::test]
async fn a_database_of_the_first_schema_is_brought_to_this_one() {
    let place = Place::new();
    let store = place.open(&place.config());
    fill(&store, 0..6_000).await;
    let kept = Retention { max_count: Some(3), ..Retention::default() };
    store.retain(&stream("s1"), kept).await.unwrap();
    drop(store);
    place
        .past_the_store()
        .execute_batch(
            "BEGIN; CREATE UNIQUE INDEX events_by_stream ON events (stream, revision);
             DROP TABLE by_stream; DROP TABLE by_stream_recent; PRAGMA user_version = 1; COMMIT",
        )
        .unwrap();
    // It is as large as it may be already.
    let size = std::fs::metadata(place.path()).unwrap().len();
    let store = place.open(&Config { database_bytes_max: size, ..place.config() });
    assert_eq!(entries(&place), (0, 6_000, 0));
    let connection = place.past_the_store();
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'events_by_stream'";
    let old_indexes: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!((version, old_indexes), (2, 0));
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    drop(store);
    let store = place.open(&place.config());
    assert!(store.append(write(&name(17), vec![event(17)])).await.unwrap().is_repeat);
    fill(&store, 6_000..12_000).await;
    check(&store, 12_000).await;
}
