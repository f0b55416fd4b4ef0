//! Closing the store and opening it again.

use bytes::Bytes;
use cairn_kernel::{Expected, Revision};

use super::{Harness, append, at, head, positions, read, revisions, stream, whole_log, write};
use crate::{Direction, Filter, Retention, Snapshot};

pub async fn everything_is_there_after_reopening(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", 0..300).await;
    append(&store, "b", [1_000]).await;
    let before = whole_log(&store, &Filter::all()).await;
    drop(store);
    let store = harness.open().await;
    assert_eq!(head(&store), 301);
    assert_eq!(whole_log(&store, &Filter::all()).await, before);
    store.append(vec![write("a", at(299), [2_000])]).await.expect("the revisions go on");
    let found = read(&store, "a", 300, Direction::Forwards, 1).await;
    assert_eq!((positions(&found), revisions(&found)), (vec![302], vec![300]));
}

pub async fn a_batch_sent_again_after_reopening_is_stored_once(harness: &dyn Harness) {
    let store = harness.open().await;
    let first = store.append(vec![write("a", Expected::NoStream, [1, 2])]).await.expect("appended");
    append(&store, "a", [3]).await;
    drop(store);
    let store = harness.open().await;
    let again = store.append(vec![write("a", Expected::NoStream, [1, 2])]).await.expect("a repeat is answered");
    assert_eq!((again.position, again.revisions), (first.position, first.revisions));
    assert!(again.is_repeat);
    assert_eq!(head(&store), 3);
}

pub async fn retention_survives_reopening_and_snapshots_may(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", 0..5).await;
    let one = Retention { max_count: Some(1), ..Retention::default() };
    store.retain(&stream("a"), one).await.expect("retention is set");
    let snapshot = Snapshot { revision: Revision(4), schema: "v1".into(), state: Bytes::from_static(b"five") };
    store.keep_snapshot(&stream("a"), snapshot.clone()).await;
    drop(store);
    let store = harness.open().await;
    assert_eq!(revisions(&read(&store, "a", 0, Direction::Forwards, 9).await), [4]);
    // A snapshot is a cache and may be lost; a kept one must be the one that was taken.
    let kept = store.snapshot(&stream("a")).await.expect("snapshots are read");
    assert!(kept.is_none_or(|kept| kept == snapshot));
}
