//! What a store does without its database, and when it has it again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_eventstore::{AppendFault, EventStore};
use cairn_eventstore_postgres::Config;
use cairn_kernel::{Expected, Position};

use crate::place::{Place, append, assert_whole, log, reached, write};

/// Waits until a store says that it is well, or that it is not.
async fn until_trouble(store: &dyn EventStore, is_troubled: bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.trouble().is_some() != is_troubled {
        assert!(Instant::now() < deadline, "its trouble is {:?}", store.trouble());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_its_database_refuses_and_is_well_again_when_it_is_back() {
    let mut place = Place::new();
    let store = place.try_open(&Config { outage_ms: 200, ..place.config() }).await.unwrap();
    append(&*store, "a", [1]).await.unwrap();
    place.server.stop();
    let refused = append(&*store, "a", [2]).await.unwrap_err();
    assert!(matches!(refused, AppendFault::Unavailable(_)), "{refused:?}");
    assert!(store.trouble().is_some());
    assert!(store.find(cairn_eventstore::conformance::event(1).id).await.is_err());
    // Known to be away: nobody waits to hear it.
    let started = Instant::now();
    append(&*store, "a", [2]).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_millis(150), "{:?}", started.elapsed());
    place.server.start_again();
    until_trouble(&*store, false).await;
    append(&*store, "a", [2]).await.unwrap();
    let events = log(&*store).await;
    assert_eq!(events.len(), 2);
    assert_whole(&events);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_only_reads_notices_that_its_database_is_away() {
    let mut place = Place::new();
    let store = place.opened().await;
    place.server.stop();
    until_trouble(&*store, true).await;
    place.server.start_again();
    until_trouble(&*store, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quick_restart_is_not_noticed_by_those_who_append() {
    let mut place = Place::new();
    let store = place.try_open(&Config { outage_ms: 20_000, ..place.config() }).await.unwrap();
    append(&*store, "a", [1]).await.unwrap();
    place.server.stop();
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { append(&*store, "a", [2]).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    place.server.start_again();
    assert_eq!(waiting.await.unwrap(), Ok(Position(2)));
}

/// Writers go on all the time while the server crashes and recovers. What was acknowledged is there, at its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_lost_when_the_database_crashes() {
    let mut place = Place::new();
    let stores = [place.opened().await, place.opened().await];
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..6u64)
        .map(|writer| {
            let (store, stop) = (Arc::clone(&stores[writer as usize % 2]), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut acknowledged, mut n) = (vec![], 0);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let number = writer * 1_000_000 + n;
                    match store.append(vec![write(&format!("w{writer}"), Expected::Any, [number])]).await {
                        Ok(appended) => {
                            assert!(n < 1_000_000);
                            acknowledged.push((number, appended.position));
                            n += 1;
                        }
                        // Repeated with the same id, as the contract says.
                        Err(AppendFault::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                        Err(other) => panic!("{other}"),
                    }
                }
                acknowledged
            })
        })
        .collect();
    for _ in 0..2 {
        let before = stores[0].head().borrow().0;
        reached(&*stores[0], before + 50).await;
        place.server.crash();
        place.server.start_again();
    }
    let before = stores[0].head().borrow().0;
    reached(&*stores[0], before + 50).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut acknowledged = vec![];
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    let last = acknowledged.iter().map(|(_, position)| position.0).max().unwrap();
    reached(&*stores[1], last).await;
    let events = log(&*stores[1]).await;
    assert_whole(&events);
    let places: HashMap<_, _> = events.iter().map(|event| (event.id, event.position)).collect();
    assert_eq!(places.len(), events.len(), "an event is there twice");
    for (number, position) in &acknowledged {
        let id = cairn_eventstore::conformance::event(*number).id;
        assert_eq!(places.get(&id), Some(position), "event {number}");
    }
    assert!(acknowledged.len() > 100, "only {} were acknowledged", acknowledged.len());
}

/// A process that stands still in the middle of a batch holds the log up for seconds, not for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_holds_the_lock_and_says_nothing_is_put_out() {
    let place = Place::new();
    let store = place.opened().await;
    append(&*store, "a", [1]).await.unwrap();
    let silent = place.client().await;
    silent
        .batch_execute(
            "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '1s'; SELECT * FROM cairn_events.head FOR UPDATE",
        )
        .await
        .unwrap();
    let started = Instant::now();
    append(&*store, "a", [2]).await.unwrap();
    assert!(started.elapsed() > Duration::from_millis(500) && started.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_has_lost_events_is_not_written_to() {
    let place = Place::new();
    let store = place.opened().await;
    append(&*store, "a", [1, 2]).await.unwrap();
    let admin = place.client().await;
    admin
        .batch_execute("DELETE FROM cairn_events.events WHERE position = 2; UPDATE cairn_events.head SET position = 1")
        .await
        .unwrap();
    let refused = append(&*store, "a", [3]).await.unwrap_err();
    assert!(matches!(&refused, AppendFault::Damaged(why) if why.contains("has lost events")), "{refused:?}");
    admin.batch_execute("UPDATE cairn_events.head SET position = 9, log = gen_random_uuid()").await.unwrap();
    let refused = append(&*store, "a", [3]).await.unwrap_err();
    assert!(matches!(&refused, AppendFault::Damaged(why) if why.contains("another log")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_changed_is_not_tried_again_and_again() {
    let place = Place::new();
    let config = Config { outage_ms: 100, poll_interval_ms: 10, ..place.config() };
    let config = Config { url: format!("{}?pgbouncer=true", place.server.url()).into(), ..config };
    let store = place.try_open(&config).await.unwrap();
    append(&*store, "a", [1]).await.unwrap();
    let admin = place.client().await;
    admin.batch_execute("ALTER ROLE cairn PASSWORD 'another'").await.unwrap();
    let others =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'cairn'";
    admin.execute(others, &[]).await.unwrap();
    let ended = Instant::now() + Duration::from_secs(1);
    while Instant::now() < ended {
        let refused = append(&*store, "a", [2]).await.unwrap_err();
        assert!(refused.to_string().contains("password authentication failed"), "{refused}");
        store.find(cairn_eventstore::conformance::event(1).id).await.unwrap_err();
    }
    let logged = std::fs::read_to_string(place.server.folder().join("log")).unwrap();
    let tries = logged.matches("password authentication failed").count();
    assert!((1..=4).contains(&tries), "it was tried {tries} times");
}
