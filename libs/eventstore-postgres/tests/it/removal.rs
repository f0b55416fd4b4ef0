//! Events that are not to be kept are removed in the end.

use std::time::{Duration, Instant};

use cairn_eventstore::conformance::Harness;
use cairn_eventstore::{EventStore, Retention};
use cairn_eventstore_postgres::Config;

use crate::place::{Place, append, log, stream};

#[tokio::test]
async fn what_is_no_longer_shown_is_removed_and_the_last_event_of_a_stream_stays() {
    let place = Place::new();
    let store = place.try_open(&Config { sweep_interval_ms: 20, ..place.config() }).await.unwrap();
    append(&*store, "counted", 0..600).await.unwrap();
    append(&*store, "aged", 1_000..1_010).await.unwrap();
    append(&*store, "kept", 2_000..2_010).await.unwrap();
    store.retain(&stream("counted"), Retention { max_count: Some(2), ..Retention::default() }).await.unwrap();
    let hour = Retention { max_age: Some(Duration::from_secs(3600)), ..Retention::default() };
    store.retain(&stream("aged"), hour).await.unwrap();
    // Young ones stay, for whoever must find out whether they were committed.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let client = place.client().await;
    let stored =
        async || -> i64 { client.query_one("SELECT count(*) FROM cairn_events.events", &[]).await.unwrap().get(0) };
    assert_eq!(stored().await, 620);
    place.clock().advance(Duration::from_secs(7200));
    let deadline = Instant::now() + Duration::from_secs(10);
    while stored().await != 13 {
        assert!(Instant::now() < deadline, "{} are stored", stored().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let shown: Vec<u64> = log(&*store).await.iter().map(|event| event.position.0).collect();
    assert_eq!(shown, (599..=600).chain(611..=620).collect::<Vec<u64>>());
    assert_eq!(append(&*store, "aged", [3_000]).await.unwrap().0, 621);
}
