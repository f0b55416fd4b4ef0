//! What an append does, and what it refuses.

use std::time::Duration;

use bytes::Bytes;
use cairn_kernel::{Clock, Expected, Position, Revision, StreamName, Time};
use futures::future::join_all;

use super::{Harness, append, at, event, head, positions, read, revisions, stream, whole_log, write};
use crate::{AppendFault, Direction, Filter, NewEvent, Write, limits};

pub async fn positions_and_revisions_count_without_gaps(harness: &dyn Harness) {
    let store = harness.open().await;
    assert_eq!(head(&store), 0);
    let first = append(&store, "a", [1, 2]).await;
    assert_eq!((first.position, &*first.revisions), (Position(2), &[Some(Revision(1))][..]));
    let second = append(&store, "b", [3]).await;
    assert_eq!((second.position, &*second.revisions), (Position(3), &[Some(Revision(0))][..]));
    let third = append(&store, "a", [4]).await;
    assert_eq!((third.position, &*third.revisions), (Position(4), &[Some(Revision(2))][..]));
    assert!(!third.is_repeat);
    assert_eq!(head(&store), 4);
}

pub async fn what_was_appended_is_read_back_exactly(harness: &dyn Harness) {
    let store = harness.open().await;
    let all_bytes: Vec<u8> = (0..=255).collect();
    for (n, payload) in [vec![], all_bytes, vec![7; 1 << 20]].into_iter().enumerate() {
        let name = StreamName::of("test.exact", format!("projects/a-b/größe '\"% {n}"));
        let sent = NewEvent { payload: payload.into(), metadata: Bytes::new(), ..event(n as u64) };
        let time = harness.clock().now();
        store.append(vec![Write::new(name.clone(), Expected::NoStream, vec![sent.clone()])]).await.expect("appended");
        let found = store.find(sent.id).await.expect("ids are looked up").expect("the event is found by its id");
        let read = store.read(&name, Revision(0), Direction::Forwards, 9).await.expect("the stream reads");
        assert_eq!(read, std::slice::from_ref(&found));
        assert_eq!((found.id, &found.stream, &*found.kind), (sent.id, &name, &*sent.kind));
        assert_eq!((&found.payload, &found.metadata, found.time), (&sent.payload, &sent.metadata, time));
    }
    assert_eq!(store.find(event(99).id).await, Ok(None));
}

pub async fn an_expectation_that_does_not_hold_changes_nothing(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", [1, 2]).await;
    for (id, expected, actual) in [
        ("a", Expected::NoStream, Some(Revision(1))),
        ("a", at(0), Some(Revision(1))),
        ("a", at(2), Some(Revision(1))),
        ("new", Expected::Exists, None),
        ("new", at(0), None),
    ] {
        let refused = store.append(vec![write(id, expected, [3])]).await;
        assert_eq!(refused, Err(AppendFault::WrongRevision { stream: stream(id), expected, actual }));
    }
    assert_eq!(head(&store), 2);
    for (n, (id, expected)) in
        [("a", at(1)), ("a", Expected::Exists), ("a", Expected::Any), ("new", Expected::NoStream)]
            .into_iter()
            .enumerate()
    {
        store.append(vec![write(id, expected, [10 + n as u64])]).await.expect("the expectation holds");
    }
    assert_eq!(positions(&whole_log(&store, &Filter::all()).await), [1, 2, 3, 4, 5, 6]);
}

pub async fn an_append_is_refused_when_another_event_came_before_it(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", [1]).await;
    let following = |n: u64, next| Write { follows: Some(event(n).id), ..write("a", at(0), [next]) };
    let refused = store.append(vec![following(9, 2)]).await;
    assert!(matches!(refused, Err(AppendFault::WrongRevision { .. })), "{refused:?}");
    let nothing = Write { follows: Some(event(9).id), ..write("new", Expected::Any, [2]) };
    assert!(store.append(vec![nothing]).await.is_err());
    store.append(vec![following(1, 2)]).await.expect("it follows the last event");
    // Queued before the first one is answered: it falls with it, even though its place is then taken by another.
    let chain = [
        store.append(vec![Write { follows: Some(event(9).id), ..write("a", at(1), [3]) }]),
        store.append(vec![write("a", at(1), [4])]),
        store.append(vec![Write { follows: Some(event(3).id), ..write("a", at(2), [5]) }]),
    ];
    let outcomes: Vec<bool> = join_all(chain).await.iter().map(Result::is_ok).collect();
    assert_eq!(outcomes, [false, true, false]);
}

pub async fn an_append_to_several_streams_is_all_or_nothing(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", [1]).await;
    let refused =
        store.append(vec![write("b", Expected::NoStream, [2]), write("c", Expected::Any, [3]), write("a", at(7), [4])]);
    assert!(matches!(refused.await, Err(AppendFault::WrongRevision { .. })));
    assert_eq!(read(&store, "b", 0, Direction::Forwards, 9).await, []);
    let done = store
        .append(vec![write("b", Expected::NoStream, [2, 3]), write("a", at(0), [4]), write("c", Expected::Any, [5])])
        .await
        .expect("all expectations hold");
    assert_eq!(done.position, Position(5));
    assert_eq!(done.revisions, [Some(Revision(1)), Some(Revision(1)), Some(Revision(0))]);
    let log = whole_log(&store, &Filter::all()).await;
    let streams: Vec<&str> = log.iter().map(|event| event.stream.id()).collect();
    assert_eq!(streams, ["a", "b", "b", "a", "c"]);
}

pub async fn an_empty_write_asserts_without_appending(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "rule", [1]).await;
    let nothing = store.append(vec![]).await.expect("nothing can be appended");
    assert_eq!((nothing.position, nothing.revisions.len(), nothing.is_repeat), (Position(1), 0, false));
    let asserted = store.append(vec![write("rule", at(0), []), write("none", Expected::NoStream, [])]).await;
    let asserted = asserted.expect("both expectations hold");
    assert_eq!((asserted.position, &*asserted.revisions), (Position(1), &[Some(Revision(0)), None][..]));
    let witnessed = |revision, n| vec![write("rule", at(revision), []), write("a", Expected::Any, [n])];
    store.append(witnessed(0, 2)).await.expect("the witness holds");
    let refused = store.append(witnessed(1, 3)).await;
    assert!(matches!(refused, Err(AppendFault::WrongRevision { .. })), "{refused:?}");
    assert_eq!(head(&store), 2);
}

pub async fn what_could_never_succeed_is_refused_at_once(harness: &dyn Harness) {
    let store = harness.open().await;
    let large = NewEvent { payload: vec![0; limits::EVENT_BYTES_MAX + 1].into(), ..event(1) };
    let nameless = NewEvent { kind: "".into(), ..event(1) };
    let many = 0..limits::APPEND_EVENTS_MAX as u64 + 1;
    for writes in [
        vec![write("a", Expected::Any, [1]), write("a", Expected::Any, [2])],
        vec![write("a", Expected::Any, [1, 1])],
        vec![write("a", Expected::Any, many)],
        vec![Write::new(stream("a"), Expected::Any, vec![large])],
        vec![Write::new(stream("a"), Expected::Any, vec![nameless])],
    ] {
        let refused = store.append(writes).await;
        assert!(matches!(refused, Err(AppendFault::Invalid(_))), "{refused:?}");
    }
    assert_eq!(head(&store), 0);
}

pub async fn an_append_that_nobody_waits_for_happens_all_the_same(harness: &dyn Harness) {
    let store = harness.open().await;
    drop(store.append(vec![write("a", Expected::NoStream, [1])]));
    let mut head = store.head();
    head.wait_for(|head| *head == Position(1)).await.expect("the store is open");
    assert_eq!(revisions(&read(&store, "a", 0, Direction::Forwards, 9).await), [0]);
}

pub async fn appends_of_one_caller_keep_their_order(harness: &dyn Harness) {
    let store = harness.open().await;
    let queued: Vec<_> = (0..200)
        .map(|n: u64| store.append(vec![write("a", n.checked_sub(1).map_or(Expected::NoStream, at), [n])]))
        .collect();
    for (n, outcome) in join_all(queued).await.into_iter().enumerate() {
        let appended = outcome.expect("each finds the one before it");
        assert_eq!(appended.position, Position(n as u64 + 1));
    }
}

pub async fn a_refused_append_does_not_disturb_its_neighbours(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", [1, 2]).await;
    let queued = [
        store.append(vec![write("b", Expected::NoStream, [10])]),
        store.append(vec![write("c", Expected::Any, [11]), write("a", Expected::NoStream, [12])]),
        store.append(vec![write("a", Expected::Any, [2, 13])]),
        store.append(vec![write("d", Expected::Any, [14]), write("a", Expected::Any, [15, 2])]),
        store.append(vec![write("e", Expected::NoStream, [16, 17])]),
        store.append(vec![write("e", at(1), [18])]),
    ];
    let outcomes: Vec<bool> = join_all(queued).await.iter().map(Result::is_ok).collect();
    assert_eq!(outcomes, [true, false, false, false, true, true]);
    let log = whole_log(&store, &Filter::all()).await;
    let ids: Vec<_> = log.iter().map(|event| event.id).collect();
    assert_eq!(ids, [1, 2, 10, 16, 17, 18].map(|n| event(n).id));
    assert_eq!(positions(&log), [1, 2, 3, 4, 5, 6]);
}

pub async fn times_never_run_backwards(harness: &dyn Harness) {
    let store = harness.open().await;
    let start = harness.clock().now();
    append(&store, "a", [1]).await;
    harness.clock().set(Time::from_micros(start.micros() - 3_600_000_000));
    append(&store, "a", [2]).await;
    harness.clock().set(start.after(Duration::from_micros(1)));
    append(&store, "a", [3]).await;
    let times: Vec<i64> = whole_log(&store, &Filter::all()).await.iter().map(|event| event.time.micros()).collect();
    assert_eq!(times, [start.micros(), start.micros(), start.micros() + 1]);
}
