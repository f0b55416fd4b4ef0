//! Reading streams and the whole log.

use bytes::Bytes;
use cairn_kernel::{Expected, Position, Revision, StreamName};

use super::{
    Harness, append, event, head, positions, read, read_all, revisions, stream, typed_event, whole_log, write,
};
use crate::Direction::{Backwards, Forwards};
use crate::{Filter, Snapshot, Write};

pub async fn a_stream_is_read_both_ways_within_bounds(harness: &dyn Harness) {
    let store = harness.open().await;
    for n in 0..10 {
        append(&store, "a", [n]).await;
        append(&store, "b", [100 + n]).await;
    }
    for (from, direction, limit, expected) in [
        (0, Forwards, 3, vec![0, 1, 2]),
        (7, Forwards, 99, vec![7, 8, 9]),
        (9, Forwards, 1, vec![9]),
        (10, Forwards, 5, vec![]),
        (u64::MAX, Forwards, 5, vec![]),
        (9, Backwards, 3, vec![9, 8, 7]),
        (u64::MAX, Backwards, 2, vec![9, 8]),
        (1, Backwards, 99, vec![1, 0]),
        (0, Backwards, 99, vec![0]),
        (5, Forwards, 0, vec![]),
        (5, Backwards, 0, vec![]),
    ] {
        let events = read(&store, "a", from, direction, limit).await;
        assert_eq!(revisions(&events), expected, "{limit} from {from} {direction:?}");
        assert!(events.iter().all(|event| event.stream == stream("a")));
    }
}

pub async fn a_stream_never_written_to_is_empty(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", [1]).await;
    assert_eq!(read(&store, "none", 0, Forwards, 9).await, []);
    assert_eq!(read(&store, "none", u64::MAX, Backwards, 9).await, []);
    assert_eq!(store.snapshot(&stream("none")).await, Ok(None));
}

pub async fn the_log_is_read_both_ways_within_bounds(harness: &dyn Harness) {
    let store = harness.open().await;
    for from in [0, 5, u64::MAX] {
        for direction in [Forwards, Backwards] {
            let page = read_all(&store, from, direction, &Filter::all(), 5).await;
            assert!(page.events.is_empty() && page.is_end, "an empty log gave {page:?}");
        }
    }
    for n in 0..10 {
        append(&store, if n % 2 == 0 { "a" } else { "b" }, [n]).await;
    }
    for (from, direction, limit, expected) in [
        (0, Forwards, 3, vec![1, 2, 3]),
        (3, Forwards, 3, vec![4, 5, 6]),
        (8, Forwards, 99, vec![9, 10]),
        (10, Forwards, 5, vec![]),
        (11, Backwards, 3, vec![10, 9, 8]),
        (u64::MAX, Backwards, 2, vec![10, 9]),
        (3, Backwards, 99, vec![2, 1]),
        (1, Backwards, 99, vec![]),
        (0, Backwards, 99, vec![]),
    ] {
        let page = read_all(&store, from, direction, &Filter::all(), limit).await;
        assert_eq!(positions(&page.events), expected, "{limit} from {from} {direction:?}");
        let end = if direction == Forwards { 10 } else { 1 };
        let reached = expected.is_empty() || expected.len() < limit || expected.last() == Some(&end);
        assert_eq!(page.is_end, reached, "{limit} from {from} {direction:?}");
        if let Some(last) = expected.last().filter(|_| !page.is_end) {
            assert_eq!(page.considered, Position(*last));
        }
    }
}

pub async fn the_log_is_filtered_by_category_and_type(harness: &dyn Harness) {
    let store = harness.open().await;
    for (n, (category, kind)) in
        [("x", "v1.Made"), ("y", "v1.Made"), ("x", "v1.Moved"), ("x", "v2.Made"), ("x.y", "v1.Made"), ("y", "v1.Mad")]
            .into_iter()
            .enumerate()
    {
        let name = StreamName::of(category, "1");
        let one = Write::new(name, Expected::Any, vec![typed_event(n as u64, kind)]);
        store.append(vec![one]).await.expect("appended");
    }
    let filter = |categories: &[&str], kinds: &[&str]| Filter {
        categories: categories.iter().map(|&text| text.to_owned()).collect(),
        kinds: kinds.iter().map(|&text| text.to_owned()).collect(),
    };
    for (filter, expected) in [
        (filter(&[], &[]), vec![1, 2, 3, 4, 5, 6]),
        (filter(&["x"], &[]), vec![1, 3, 4]),
        (filter(&["x", "y"], &[]), vec![1, 2, 3, 4, 6]),
        (filter(&[], &["v1.Made"]), vec![1, 2, 5]),
        (filter(&[], &["v1.M*"]), vec![1, 2, 3, 5, 6]),
        (filter(&[], &["v1.Moved", "v2.*"]), vec![3, 4]),
        (filter(&["y"], &["v1.Made"]), vec![2]),
        (filter(&["x.y"], &["v1.Mo*"]), vec![]),
        (filter(&["z"], &[]), vec![]),
    ] {
        assert_eq!(positions(&whole_log(&store, &filter).await), expected, "{filter:?}");
        let mut backwards = read_all(&store, u64::MAX, Backwards, &filter, 99).await;
        assert!(backwards.is_end);
        backwards.events.reverse();
        assert_eq!(positions(&backwards.events), expected, "{filter:?} backwards");
    }
    let page = read_all(&store, 0, Forwards, &filter(&["z"], &[]), 5).await;
    assert_eq!((page.considered, page.is_end), (Position(6), true));
}

pub async fn ten_thousand_events_are_paged_without_gap_or_repeat(harness: &dyn Harness) {
    let store = harness.open().await;
    for batch in 0..20 {
        append(&store, &format!("s{}", batch % 3), batch * 500..(batch + 1) * 500).await;
    }
    let all: Vec<u64> = (1..=10_000).collect();
    assert_eq!(positions(&whole_log(&store, &Filter::all()).await), all);
    assert_eq!(head(&store), 10_000);
    let mut seen = vec![];
    let mut from = u64::MAX;
    loop {
        let page = read_all(&store, from, Backwards, &Filter::all(), 333).await;
        assert!(page.events.len() <= 333);
        seen.extend(positions(&page.events));
        from = page.considered.0;
        if page.is_end {
            break;
        }
    }
    seen.reverse();
    assert_eq!(seen, all);
    let stream = read(&store, "s0", 0, Forwards, 100_000).await;
    assert_eq!(revisions(&stream), (0..3_500).collect::<Vec<u64>>());
    assert!(stream.iter().all(|event| event.payload.starts_with(b"payload ")));
}

pub async fn the_newest_snapshot_is_kept(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", [1, 2, 3]).await;
    let snapshot = |revision, state: &'static str| Snapshot {
        revision: Revision(revision),
        schema: "v1".into(),
        state: Bytes::from(state),
    };
    assert_eq!(store.snapshot(&stream("a")).await, Ok(None));
    for (kept, newest) in [
        (snapshot(1, "one"), "one"),
        (snapshot(2, "two"), "two"),
        (snapshot(0, "none"), "two"),
        (snapshot(2, "2"), "2"),
    ] {
        store.keep_snapshot(&stream("a"), kept).await;
        let found = store.snapshot(&stream("a")).await.expect("snapshots are read");
        assert_eq!(found.map(|found| found.state), Some(Bytes::from(newest)));
    }
    store.append(vec![write("a", Expected::Any, [4])]).await.expect("a snapshot is in nobody's way");
    assert_eq!(store.find(event(4).id).await.expect("found").map(|found| found.revision), Some(Revision(3)));
}
