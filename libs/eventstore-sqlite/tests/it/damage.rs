//! A disk that gives back something else than it was given.

use cairn_eventstore::conformance::event;
use cairn_eventstore::{AppendFault, Direction, EventStore, ReadFault, Retention, Write};
use cairn_kernel::{Expected, Position, Revision};

use crate::support::{Place, log, stream, write};

const FORWARDS: Direction = Direction::Forwards;

#[tokio::test]
async fn a_changed_event_is_reported_and_never_served() {
    for change in [
        "payload = 'forged'",
        "metadata = CAST('{\"principal\":\"users/other\"}' AS BLOB)",
        "time = time - 1",
        "checksum = checksum + 1",
        "id = zeroblob(16)",
        "id = zeroblob(3)",
    ] {
        let place = Place::new();
        let store = place.open(&place.config());
        store.append(write("a", vec![event(1), event(2), event(3)])).await.unwrap();
        drop(store);
        let sql = format!("UPDATE events SET {} WHERE position = 2", change.replace("'forged'", "x'00'"));
        assert_eq!(place.past_the_store().execute(&sql, []).unwrap(), 1);
        let store = place.open(&place.config());
        let damaged = |outcome| matches!(outcome, Err(ReadFault::Damaged(text)) if text.contains("event 2"));
        assert!(damaged(log(&store).await), "{change}: the log was served");
        assert!(damaged(store.read(&stream("a"), Revision(1), FORWARDS, 1).await), "{change}: the stream was served");
        // Only what is damaged is withheld.
        assert_eq!(store.read(&stream("a"), Revision(2), FORWARDS, 9).await.unwrap().len(), 1);
        let filter = cairn_eventstore::Filter::all();
        assert_eq!(store.read_all(Position(2), FORWARDS, &filter, 9).await.unwrap().events.len(), 1);
    }
}

/// What follows an event rests on its revision and id; what goes to other streams does not.
#[tokio::test]
async fn a_damaged_last_event_stops_its_own_stream_and_nobody_elses() {
    for change in [
        "UPDATE events SET payload = x'00' WHERE position = 2",
        "UPDATE events SET checksum = checksum + 1 WHERE position = 2",
        "UPDATE events SET checksum = -1 WHERE position = 2",
        "UPDATE events SET id = zeroblob(3) WHERE position = 2",
        "UPDATE by_stream_recent SET revision = 7 WHERE position = 2",
        "UPDATE by_stream_recent SET revision = -7 WHERE position = 2",
        "UPDATE by_stream_recent SET position = 1 WHERE position = 2",
        "DELETE FROM events WHERE position = 2",
    ] {
        let place = Place::new();
        let store = place.open(&place.config());
        store.append(write("a", vec![event(1)])).await.unwrap();
        store.append(write("broken", vec![event(2)])).await.unwrap();
        store.append(write("b", vec![event(3)])).await.unwrap();
        drop(store);
        assert_eq!(place.past_the_store().execute(change, []).unwrap(), 1);
        let store = place.open(&place.config());
        // All of them wait for the same transaction.
        let other = place.past_the_store();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let before = store.append(write("a", vec![event(11)]));
        let refused = store.append(write("broken", vec![event(12)]));
        let partly = store.append(vec![
            Write::new(stream("b"), Expected::Any, vec![event(13)]),
            Write::new(stream("broken"), Expected::Any, vec![event(14)]),
        ]);
        let after = store.append(write("b", vec![event(15)]));
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(before.await.unwrap().position, Position(4), "{change}");
        let retention = Retention { max_count: Some(1), ..Retention::default() };
        let retained = store.retain(&stream("broken"), retention).await;
        for refused in [refused.await.map(drop), partly.await.map(drop), retained] {
            let names_it = |why: &str| why.contains("broken");
            assert!(matches!(&refused, Err(AppendFault::Damaged(why)) if names_it(why)), "{change}: {refused:?}");
        }
        let after = after.await.unwrap();
        assert_eq!((after.position, after.revisions), (Position(5), vec![Some(Revision(1))]), "{change}");
        assert_eq!(store.trouble(), None, "{change}");
        let read = store.read(&stream("broken"), Revision(0), FORWARDS, 9).await;
        assert!(matches!(read, Err(ReadFault::Damaged(_))), "{change}: {read:?}");
    }
}

#[tokio::test]
async fn an_entry_of_the_index_where_none_should_be_stops_its_own_stream() {
    let place = Place::new();
    let store = place.open(&place.config());
    store.append(write("a", vec![event(1)])).await.unwrap();
    store.append(write("b", vec![event(2)])).await.unwrap();
    // Behind the back of the writer, which knows where the stream ends.
    let sql =
        "INSERT INTO by_stream_recent SELECT stream, revision + 2, position FROM by_stream_recent WHERE position = 1";
    assert_eq!(place.past_the_store().execute(sql, []).unwrap(), 1);
    let refused = store
        .append(vec![
            Write::new(stream("b"), Expected::Any, vec![event(3)]),
            Write::new(stream("a"), Expected::Any, vec![event(4), event(5)]),
        ])
        .await;
    assert!(matches!(refused, Err(AppendFault::Damaged(_))), "{refused:?}");
    let appended = store.append(write("b", vec![event(6)])).await.unwrap();
    assert_eq!((appended.position, appended.revisions), (Position(3), vec![Some(Revision(1))]));
    assert_eq!(log(&store).await.unwrap().len(), 3);
    assert_eq!(store.read(&stream("b"), Revision(0), FORWARDS, 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_changed_snapshot_is_not_used() {
    let place = Place::new();
    let store = place.open(&place.config());
    store.append(write("a", vec![event(1)])).await.unwrap();
    let snapshot = cairn_eventstore::Snapshot {
        revision: Revision(0),
        schema: "v1".into(),
        state: bytes::Bytes::from_static(b"state"),
    };
    store.keep_snapshot(&stream("a"), snapshot).await;
    drop(store);
    assert_eq!(place.past_the_store().execute("UPDATE snapshots SET state = x'00'", []).unwrap(), 1);
    assert_eq!(place.open(&place.config()).snapshot(&stream("a")).await, Ok(None));
}
