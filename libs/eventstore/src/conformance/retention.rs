//! Streams that keep only part of their history.

use std::time::Duration;

use cairn_kernel::{Expected, Position, Revision};

use super::{Harness, append, at, head, positions, read, read_all, revisions, stream, whole_log, write};
use crate::Direction::{Backwards, Forwards};
use crate::{AppendFault, Filter, Retention};

const HOUR: Duration = Duration::from_secs(3600);

pub async fn only_the_newest_events_of_a_counted_stream_are_read(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", 0..6).await;
    append(&store, "b", 10..12).await;
    let three = Retention { max_count: Some(3), ..Retention::default() };
    store.retain(&stream("a"), three).await.expect("retention is set");
    assert_eq!(revisions(&read(&store, "a", 0, Forwards, 9).await), [3, 4, 5]);
    assert_eq!(revisions(&read(&store, "a", 0, Forwards, 2).await), [3, 4]);
    assert_eq!(revisions(&read(&store, "a", u64::MAX, Backwards, 9).await), [5, 4, 3]);
    assert_eq!(revisions(&read(&store, "a", 2, Backwards, 9).await), Vec::<u64>::new());
    assert_eq!(positions(&whole_log(&store, &Filter::all()).await), [4, 5, 6, 7, 8]);
    append(&store, "a", [20]).await;
    assert_eq!(revisions(&read(&store, "a", 0, Forwards, 9).await), [4, 5, 6]);
    assert_eq!(positions(&whole_log(&store, &Filter::all()).await), [5, 6, 7, 8, 9]);
    let page = read_all(&store, u64::MAX, Backwards, &Filter::all(), 9).await;
    assert_eq!((positions(&page.events), page.is_end), (vec![9, 8, 7, 6, 5], true));
    // Of a live reader's view too: what was just written and is superseded already is not shown.
    append(&store, "a", 30..40).await;
    let page = read_all(&store, 9, Forwards, &Filter::all(), 99).await;
    assert_eq!((positions(&page.events), page.considered), (vec![17, 18, 19], Position(19)));
}

pub async fn events_older_than_their_streams_age_are_not_read(harness: &dyn Harness) {
    let store = harness.open().await;
    let hour = Retention { max_age: Some(HOUR), ..Retention::default() };
    store.retain(&stream("a"), hour).await.expect("retention is set before the first event too");
    append(&store, "a", [1]).await;
    append(&store, "b", [2]).await;
    harness.clock().advance(HOUR / 2);
    append(&store, "a", [3]).await;
    assert_eq!(revisions(&read(&store, "a", 0, Forwards, 9).await), [0, 1]);
    harness.clock().advance(HOUR / 2 + Duration::from_secs(1));
    assert_eq!(revisions(&read(&store, "a", 0, Forwards, 9).await), [1]);
    assert_eq!(revisions(&read(&store, "a", 9, Backwards, 9).await), [1]);
    assert_eq!(positions(&whole_log(&store, &Filter::all()).await), [2, 3]);
    // Taking the limit away shows what was not removed yet, and keeps all that follows.
    store.retain(&stream("a"), Retention::default()).await.expect("retention is taken away");
    harness.clock().advance(HOUR);
    append(&store, "a", [4]).await;
    let kept = revisions(&read(&store, "a", 0, Forwards, 9).await);
    assert!(kept.ends_with(&[1, 2]), "{kept:?}");
}

pub async fn a_stream_whose_events_all_expired_goes_on_counting(harness: &dyn Harness) {
    let store = harness.open().await;
    let hour = Retention { max_age: Some(HOUR), max_count: Some(2) };
    store.retain(&stream("a"), hour).await.expect("retention is set");
    append(&store, "a", [1, 2, 3]).await;
    harness.clock().advance(HOUR * 2);
    assert_eq!(read(&store, "a", 0, Forwards, 9).await, []);
    append(&store, "b", [4]).await;
    assert_eq!(positions(&whole_log(&store, &Filter::all()).await), [4]);
    let refused = store.append(vec![write("a", Expected::NoStream, [5])]).await;
    assert!(matches!(refused, Err(AppendFault::WrongRevision { actual: Some(Revision(2)), .. })), "{refused:?}");
    store.append(vec![write("a", at(2), [5])]).await.expect("the revisions go on");
    assert_eq!(revisions(&read(&store, "a", 0, Forwards, 9).await), [3]);
    assert_eq!(head(&store), 5);
}
