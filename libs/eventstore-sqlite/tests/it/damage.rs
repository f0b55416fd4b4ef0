//! A disk that gives back something else than it was given.

use cairn_eventstore::conformance::event;
use cairn_eventstore::{Direction, EventStore, ReadFault};
use cairn_kernel::{Position, Revision};

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
