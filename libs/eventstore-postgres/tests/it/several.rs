//! Several stores over one log, as several processes have them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_eventstore::conformance::event;
use cairn_eventstore::{AppendFault, Direction, EventStore, Filter, Message, NewEvent, Retention, Subscription, Write};
use cairn_eventstore_postgres::{Config, Postgres};
use cairn_kernel::{Expected, Position, Revision, StreamName};
use futures::future::join_all;

use crate::place::{Place, append, assert_whole, log, reached, stream, write};

async fn three(place: &Place) -> Vec<Arc<Postgres>> {
    let config = place.config();
    join_all((0..3).map(|_| async { place.try_open(&config).await.unwrap() })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_writers_of_several_stores_leave_no_gap_for_anybody_who_follows() {
    const APPENDS: u64 = 60;
    let place = Place::new();
    let stores = three(&place).await;
    let until = 3 * 4 * APPENDS * 2;
    let followers: Vec<_> = stores
        .iter()
        .map(|store| {
            let mut subscription = Subscription::new(Arc::clone(store) as _, Position::START, Filter::all());
            tokio::spawn(async move {
                let mut seen = vec![];
                while seen.len() < until as usize {
                    if let Message::Events(events) = subscription.next().await.unwrap() {
                        seen.extend(events.iter().map(|event| event.position.0));
                    }
                }
                seen
            })
        })
        .collect();
    let writers = (0..12u64).map(|writer| {
        let store = Arc::clone(&stores[writer as usize % 3]);
        tokio::spawn(async move {
            for n in 0..APPENDS {
                let first = (writer * APPENDS + n) * 2;
                let own = write(&format!("w{writer}"), Expected::after(n.checked_sub(1).map(Revision)), [first]);
                let appended = store.append(vec![own, write("shared", Expected::Any, [first + 1])]).await.unwrap();
                assert!(*store.head().borrow() >= appended.position, "answered before it could be read");
                if n % 7 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    for follower in followers {
        assert!(follower.await.unwrap() == (1..=until).collect::<Vec<u64>>(), "a position was skipped or came twice");
    }
    let events = log(&*stores[0]).await;
    assert_whole(&events);
    assert_eq!(events.len() as u64, until);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_who_decide_on_the_same_revision_one_wins() {
    let place = Place::new();
    let stores = three(&place).await;
    append(&*stores[0], "a", [0]).await.unwrap();
    for round in 0..20u64 {
        let at = Expected::Exactly(Revision(round));
        let racers = (0..6u64).map(|n| stores[n as usize % 3].append(vec![write("a", at, [100 + round * 10 + n])]));
        let outcomes = join_all(racers).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        for outcome in outcomes.into_iter().filter_map(Result::err) {
            assert!(matches!(outcome, AppendFault::WrongRevision { .. }), "{outcome}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_events_through_several_stores_are_stored_once_and_answered_alike() {
    let place = Place::new();
    let stores = three(&place).await;
    for round in 0..20u64 {
        let batch = || vec![write("a", Expected::Any, [round * 2, round * 2 + 1]), write("b", Expected::Any, [round])];
        let outcomes = join_all(stores.iter().map(|store| store.append(batch()))).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        assert_eq!(outcomes.iter().filter(|appended| !appended.is_repeat).count(), 1, "{outcomes:?}");
        assert!(
            outcomes
                .iter()
                .all(|other| { (other.position, &other.revisions) == (outcomes[0].position, &outcomes[0].revisions) })
        );
    }
    reached(&*stores[0], 60).await;
    assert_whole(&log(&*stores[0]).await);
}

#[tokio::test]
async fn what_one_store_appends_another_hears_of_at_once_or_soon() {
    let place = Place::new();
    let writer = place.opened().await;
    let listening = place.opened().await;
    let polling = Config { url: format!("{}?pgbouncer=true", place.server.url()).into(), ..place.config() };
    let polling = place.try_open(&polling).await.unwrap();
    // Whoever has just started may not be listening yet.
    append(&*writer, "a", [0]).await.unwrap();
    reached(&*listening, 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    append(&*writer, "a", [1]).await.unwrap();
    reached(&*listening, 2).await;
    assert!(started.elapsed() < Duration::from_millis(900), "it was polled for: {:?}", started.elapsed());
    reached(&*polling, 2).await;
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn whoever_loses_the_line_that_it_listens_on_polls_and_listens_again() {
    let place = Place::new();
    let (writer, reader) = (place.opened().await, place.opened().await);
    append(&*writer, "a", [0]).await.unwrap();
    reached(&*reader, 1).await;
    let admin = place.client().await;
    admin
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'", &[])
        .await
        .unwrap();
    append(&*writer, "a", [1]).await.unwrap();
    reached(&*reader, 2).await;
}

#[tokio::test]
async fn what_one_store_limits_is_limited_for_those_who_follow_through_another() {
    let place = Place::new();
    let (one, two) = (place.opened().await, place.opened().await);
    append(&*one, "a", 0..6).await.unwrap();
    reached(&*two, 6).await;
    let positions = async || -> Vec<u64> { log(&*two).await.iter().map(|event| event.position.0).collect() };
    assert_eq!(positions().await, [1, 2, 3, 4, 5, 6]);
    let two_events = Retention { max_count: Some(2), ..Retention::default() };
    one.retain(&stream("a"), two_events).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while positions().await != [5, 6] {
        assert!(Instant::now() < deadline, "{:?}", positions().await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn large_events_come_in_pages_that_fit_in_memory() {
    let place = Place::new();
    let store = place.opened().await;
    for n in 0..12 {
        let large = NewEvent { payload: vec![n as u8; 4 << 20].into(), ..event(n) };
        store.append(vec![Write::new(stream("a"), Expected::Any, vec![large])]).await.unwrap();
    }
    // A ring that is too small for them, so all of it comes from the database.
    for direction in [Direction::Forwards, Direction::Backwards] {
        let mut from = if direction == Direction::Forwards { Position::START } else { Position(u64::MAX) };
        let (mut seen, mut pages) = (vec![], 0);
        loop {
            let page = store.read_all(from, direction, &Filter::all(), 100).await.unwrap();
            assert!(page.events.len() <= 5, "{} events of 4 MiB in one page", page.events.len());
            seen.extend(page.events.iter().map(|event| (event.position.0, event.payload[0])));
            (from, pages) = (page.considered, pages + 1);
            if page.is_end {
                break;
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..12).map(|n| (u64::from(n) + 1, n)).collect::<Vec<(u64, u8)>>());
        assert!(pages >= 3, "{pages} pages");
    }
}

#[tokio::test]
async fn what_the_database_cannot_hold_as_text_disturbs_nobody() {
    let place = Place::new();
    let store = place.opened().await;
    let odd = |name: String| Write::new(StreamName::of("test", name), Expected::Any, vec![event(1)]);
    let kind = Write::new(stream("k"), Expected::Any, vec![NewEvent { kind: "a\0b".into(), ..event(1) }]);
    let queued = [
        store.append(vec![write("a", Expected::Any, [1])]),
        store.append(vec![odd("zero \0 byte".to_owned())]),
        store.append(vec![odd("long".repeat(1_000))]),
        store.append(vec![kind]),
        store.append(vec![write("b", Expected::Any, [2])]),
    ];
    let outcomes: Vec<bool> = join_all(queued).await.iter().map(Result::is_ok).collect();
    assert_eq!(outcomes, [true, false, false, false, true]);
    let odd = StreamName::stored("test-zero \0 byte");
    assert_eq!(store.read(&odd, Revision(0), Direction::Forwards, 9).await, Ok(vec![]));
    assert_eq!(store.snapshot(&odd).await, Ok(None));
}

#[tokio::test]
async fn reads_that_find_no_connection_say_so() {
    let place = Place::new();
    let config = Config { connections_max: 1, acquire_timeout_ms: 100, poll_interval_ms: 60_000, ..place.config() };
    let url = format!("{}?pgbouncer=true", place.server.url());
    let store = place.try_open(&Config { url: url.into(), ..config }).await.unwrap();
    append(&*store, "a", [1]).await.unwrap();
    let client = place.client().await;
    client.batch_execute("BEGIN; LOCK TABLE cairn_events.events IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let stuck = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.find(event(1).id).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let refused = store.find(event(1).id).await.unwrap_err().to_string();
    assert!(refused.contains("POOL_EXHAUSTED"), "{refused}");
    client.batch_execute("ROLLBACK").await.unwrap();
    assert!(stuck.await.unwrap().unwrap().is_some());
    assert!(store.find(event(1).id).await.unwrap().is_some());
}

/// Whoever believes to be the only one writes without asking first, and finds out if that is not so.
#[tokio::test]
async fn stores_that_take_turns_each_go_on_from_where_the_other_ended() {
    let place = Place::new();
    let (one, two) = (place.opened().await, place.opened().await);
    let mut expected = Expected::NoStream;
    for round in 0..40u64 {
        // In runs of different lengths, so that each is alone for a while and then is not.
        let store = if round / (1 + round % 3) % 2 == 0 { &one } else { &two };
        let appended =
            store.append(vec![write("a", expected, [round]), write(&format!("s{round}"), Expected::NoStream, [round])]);
        assert_eq!(appended.await.unwrap().position, Position(2 * round + 2));
        expected = Expected::Exactly(Revision(round));
        let wrong = one.append(vec![write("a", Expected::NoStream, [1_000 + round])]).await;
        assert!(
            matches!(wrong, Err(AppendFault::WrongRevision { actual, .. }) if actual == Some(Revision(round))),
            "{wrong:?}"
        );
    }
    reached(&*two, 80).await;
    assert_whole(&log(&*two).await);
}
