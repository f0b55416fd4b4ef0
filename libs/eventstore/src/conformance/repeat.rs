//! Appending the same events again.

use cairn_kernel::{Expected, Position, Revision};
use futures::future::join_all;

use super::{Harness, append, at, event, head, stream, write};
use crate::AppendFault;

pub async fn a_batch_sent_twice_is_stored_once(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", [1]).await;
    let first = store.append(vec![write("a", at(0), [2, 3])]).await.expect("the first is appended");
    append(&store, "a", [4]).await;
    for expected in [at(0), Expected::Any, Expected::NoStream, at(3)] {
        let again = store.append(vec![write("a", expected, [2, 3])]).await.expect("a repeat is answered");
        assert_eq!((again.position, &again.revisions), (first.position, &first.revisions));
        assert!(again.is_repeat);
    }
    assert_eq!(head(&store), 4);
}

pub async fn a_repeat_over_several_streams_answers_as_the_first_time(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "rule", [1]).await;
    let writes = || {
        vec![
            write("a", Expected::NoStream, [2, 3]),
            write("rule", Expected::Any, []),
            write("b", Expected::NoStream, [4]),
            write("none", Expected::Any, []),
        ]
    };
    let first = store.append(writes()).await.expect("the first is appended");
    for (n, id) in ["a", "b", "rule", "none"].into_iter().enumerate() {
        append(&store, id, [10 + n as u64]).await;
    }
    let again = store.append(writes()).await.expect("a repeat is answered");
    assert_eq!(first.revisions, [Some(Revision(1)), Some(Revision(0)), Some(Revision(0)), None]);
    assert_eq!((again.position, again.revisions), (first.position, first.revisions));
    assert!(again.is_repeat);
    assert_eq!(head(&store), 8);
}

pub async fn a_batch_that_is_partly_known_is_refused(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", [1, 2]).await;
    for events in [vec![1, 3], vec![3, 2], vec![3, 1, 2]] {
        let refused = store.append(vec![write("a", Expected::Any, events)]).await;
        assert_eq!(refused, Err(AppendFault::PartlyAppended { stream: stream("a") }));
    }
    let refused = store.append(vec![write("b", Expected::Any, [9]), write("a", Expected::Any, [1])]).await;
    assert_eq!(refused, Err(AppendFault::PartlyAppended { stream: stream("a") }));
    assert_eq!(head(&store), 2);
}

pub async fn the_same_id_in_another_stream_is_another_event(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "b", [1]).await;
    assert!(!append(&store, "a", [1]).await.is_repeat);
    assert_eq!(head(&store), 2);
    let found = store.find(event(1).id).await.expect("ids are looked up").expect("it is there");
    assert_eq!((found.position, found.stream.clone()), (Position(1), stream("b")));
}

pub async fn a_repeat_that_races_its_original_is_stored_once(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", [1]).await;
    for round in 0..20 {
        let batch = [100 + 2 * round, 101 + 2 * round];
        let racers = (0..4).map(|_| store.append(vec![write("a", at(2 * round), batch)]));
        let outcomes = join_all(racers).await;
        let firsts = outcomes.iter().filter(|outcome| matches!(outcome, Ok(appended) if !appended.is_repeat));
        assert_eq!(firsts.count(), 1, "round {round}: {outcomes:?}");
        let answers = outcomes.iter().map(|outcome| outcome.as_ref().map(|appended| appended.position));
        assert!(answers.into_iter().all(|answer| answer == Ok(Position(3 + 2 * round))), "{outcomes:?}");
    }
    assert_eq!(head(&store), 41);
}
