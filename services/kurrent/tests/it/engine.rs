//! A log of Cairn's kept in an event store that speaks the protocol, by the genuine client of KurrentDB for Rust: the suite
//! that every backend passes, and what is particular to this one.

use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::{AppendFault, Carried, EventStore, Retention};
use cairn_eventstore_kurrentdb::{Config, Kurrent, OpenFault};
use cairn_eventstore_sqlite::Sqlite;
use cairn_kernel::{Expected, Position, Revision, StreamName, SystemClock};
use cairn_kurrent_protocol::shared::Empty;
use cairn_kurrent_protocol::streams::append_req::options::ExpectedStreamRevision;
use futures::future::join_all;

use super::engine_place::{Place, Way, log, reached, write};
use super::house::proposed;

cairn_eventstore::conformance!(Place::new());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_several_processes_append_at_once_is_one_log_for_all_of_them() {
    let place = Place::new();
    let (one, two) = (place.opened_as("one").await, place.opened_as("two").await);
    let appends = (0..200_u64).map(|n| {
        let store: Arc<dyn EventStore> = if n % 2 == 0 { one.clone() } else { two.clone() };
        async move { store.append(vec![write(&format!("s{}", n % 5), Expected::Any, [n])]).await }
    });
    for outcome in join_all(appends).await {
        assert!(!outcome.unwrap().is_repeat);
    }
    reached(&*one, 200).await;
    reached(&*two, 200).await;
    let (first, second) = (log(&*one).await, log(&*two).await);
    assert_eq!(first, second);
    let positions: Vec<u64> = first.iter().map(|event| event.position.0).collect();
    assert_eq!(positions, (1..=200).collect::<Vec<_>>());
    // And for one that knows nothing yet.
    assert_eq!(log(&*place.opened_as("three").await).await, first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_that_expect_the_same_one_wins() {
    let place = Place::new();
    let (one, two) = (place.opened_as("one").await, place.opened_as("two").await);
    for round in 0..20_u64 {
        let expected = round.checked_sub(1).map_or(Expected::NoStream, |last| Expected::Exactly(Revision(last)));
        let (first, second) = tokio::join!(
            one.append(vec![write("a", expected, [2 * round])]),
            two.append(vec![write("a", expected, [2 * round + 1])]),
        );
        assert!(first.is_ok() != second.is_ok(), "round {round}: {first:?} {second:?}");
        let refused = first.err().or(second.err()).unwrap();
        assert!(
            matches!(refused, AppendFault::WrongRevision { actual: Some(actual), .. } if actual == Revision(round))
        );
        reached(&*one, round + 1).await;
        reached(&*two, round + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_command_through_two_processes_happens_once() {
    let place = Place::new();
    let (one, two) = (place.opened_as("one").await, place.opened_as("two").await);
    for n in 0..20 {
        let (first, second) = tokio::join!(
            one.append(vec![write("a", Expected::Any, [n])]),
            two.append(vec![write("a", Expected::Any, [n])]),
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!((first.position, &first.revisions), (second.position, &second.revisions));
        assert!(first.is_repeat != second.is_repeat);
    }
    reached(&*one, 20).await;
    reached(&*two, 20).await;
    assert_eq!(log(&*one).await, log(&*two).await, "also their times and metadata");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_much_is_kept_is_known_to_every_process() {
    let place = Place::new();
    let (one, two) = (place.opened_as("one").await, place.opened_as("two").await);
    one.append(vec![write("a", Expected::Any, 0..5)]).await.unwrap();
    let stream = StreamName::of("test.count", "a");
    let kept = Retention { max_count: Some(2), ..Retention::default() };
    one.retain(&stream, kept).await.unwrap();
    // An append behind it is refused until it is known.
    two.append(vec![write("a", Expected::Any, [5])]).await.unwrap();
    assert_eq!(two.retentions().await.unwrap(), [(stream.clone(), kept)]);
    let shown = two.read(&stream, Revision(0), cairn_eventstore::Direction::Forwards, 9).await.unwrap();
    assert_eq!(shown.iter().map(|event| event.revision.0).collect::<Vec<_>>(), [4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_store_that_goes_away_and_comes_back_loses_nothing() {
    let place = Place::new();
    let way = Way::to(place.house().await).await;
    let store = place.open_as("one", way.address, &Place::copy()).await.unwrap();
    let other = place.opened_as("two").await;
    store.append(vec![write("a", Expected::Any, [1])]).await.unwrap();
    way.cut();
    let refused = store.append(vec![write("a", Expected::Any, [2])]).await.unwrap_err();
    assert!(matches!(refused, AppendFault::Unavailable(_)), "{refused}");
    assert!(matches!(store.trouble(), Some(AppendFault::Unavailable(_))));
    assert_eq!(log(&store).await.len(), 1, "what is here is read all the same");
    other.append(vec![write("b", Expected::Any, [3])]).await.unwrap();
    way.mend();
    reached(&store, 2).await;
    assert_eq!(store.trouble(), None);
    store.append(vec![write("a", Expected::Any, [2])]).await.unwrap();
    reached(&*other, 3).await;
    assert_eq!(log(&store).await, log(&*other).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_whose_answer_was_lost_happens_once() {
    let place = Place::new();
    let way = Way::to(place.house().await).await;
    let store = place.open_as("one", way.address, &Place::copy()).await.unwrap();
    store.append(vec![write("a", Expected::Any, [1])]).await.unwrap();
    way.lose_answers();
    let append = store.append(vec![write("a", Expected::Exactly(Revision(0)), [2])]);
    let mended = async {
        let house = place.house().await;
        while house.added() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        way.mend();
    };
    let (outcome, ()) = tokio::join!(append, mended);
    let appended = outcome.unwrap();
    assert_eq!((appended.position, appended.is_repeat), (Position(2), false));
    assert_eq!(log(&store).await.len(), 2);
    assert_eq!(place.house().await.added(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_lost_is_read_again_and_one_of_another_log_is_refused() {
    let place = Place::new();
    let store = place.opened_as("one").await;
    store.append(vec![write("a", Expected::Any, 0..3_000)]).await.unwrap();
    let before = log(&*store).await;
    drop(store);
    place.forget("one");
    let store = place.opened_as("one").await;
    assert_eq!(log(&*store).await, before);
    drop(store);
    let elsewhere = Place::new();
    let address = elsewhere.house().await.address;
    let refused = place.open_as("one", address, &Place::copy()).await.err().unwrap();
    assert!(matches!(refused, OpenFault::Replica(cairn_eventstore_sqlite::OpenFault::OtherLog { .. })), "{refused}");
    // Nor is it taken for a log that can be appended to by itself.
    let alone = Sqlite::open(&cairn_eventstore_sqlite::Config::at(place.path("one")), Arc::new(SystemClock));
    let refused = alone.err().unwrap();
    assert!(matches!(refused, cairn_eventstore_sqlite::OpenFault::Replica { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_carried_in_and_keeps_its_positions() {
    let place = Place::new();
    let origin = tempfile::tempdir().unwrap();
    let config = cairn_eventstore_sqlite::Config::at(origin.path().join("events.db"));
    let origin = Sqlite::open(&config, Arc::new(SystemClock)).unwrap();
    origin.append(vec![write("a", Expected::Any, 0..700)]).await.unwrap();
    origin.append(vec![write("b", Expected::Any, [1_000])]).await.unwrap();
    let events = origin.held(Position::START, 10_000).await.unwrap();
    // One is no longer kept: its position stays empty.
    let carried: Vec<_> = events.iter().filter(|event| event.position.0 != 3).cloned().collect();
    let store = place.opened_as("one").await;
    for part in carried.chunks(300) {
        store.take_over(part.to_vec()).await.unwrap();
    }
    let other = place.opened_as("two").await;
    assert_eq!(other.held(Position::START, 10_000).await.unwrap(), carried);
    let next = other.append(vec![write("b", Expected::Exactly(Revision(0)), [1_001])]).await.unwrap();
    assert_eq!(next.position, Position(702));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_no_log_and_a_user_without_rights_are_refused() {
    let place = Place::new();
    let house = place.house().await;
    let url = |user: &str| format!("kurrentdb://{user}:unused@{}?tls=false", house.address);
    let config = |user: &str, stream: &str| Config { stream: stream.into(), ..Config::at(url(user), place.path(user)) };
    let open = async |user: &str, stream: &str| {
        let (config, copy) = (config(user, stream), Place::copy());
        Kurrent::open(&config, &copy, Arc::new(SystemClock)).await.err().unwrap()
    };
    house.append("app.orders", ExpectedStreamRevision::Any(Empty {}), vec![proposed("Ordered", "{}")]).await.unwrap();
    let refused = open("admin", "app.orders").await;
    assert!(matches!(&refused, OpenFault::Foreign { why, .. } if why.contains("Ordered")), "{refused}");
    let refused = open("guest", "app.cairn-log").await;
    assert!(matches!(refused, OpenFault::AccessDenied { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_does_not_keep_everything_is_refused_and_not_taken_for_the_log() {
    let place = Place::new();
    let store = place.opened_as("one").await;
    let way = Way::to(place.house().await).await;
    let behind = place.open_as("two", way.address, &Place::copy()).await.unwrap();
    way.cut();
    for n in 0..6 {
        store.append(vec![write("a", Expected::Any, [n])]).await.unwrap();
    }
    let kept = proposed("$metadata", r#"{"$maxCount": 2}"#);
    let house = place.house().await;
    house.append("$$app.cairn-log", ExpectedStreamRevision::Any(Empty {}), vec![kept]).await.unwrap();
    // One that knows nothing yet cannot even see which log it is, and one that knows some has missed some.
    let refused = place.open_as("three", house.address, &Place::copy()).await.err().unwrap();
    assert!(matches!(refused, OpenFault::Foreign { .. } | OpenFault::Lost { .. }), "{refused}");
    way.mend();
    let refused = behind.append(vec![write("b", Expected::Any, [9])]).await.unwrap_err();
    assert!(matches!(refused, AppendFault::Damaged(_)), "{refused}");
    assert!(log(&behind).await.is_empty(), "nothing is taken in with a hole before it");
}
