//! Following the log while it is written.

use std::sync::Arc;

use cairn_kernel::{Expected, Position};
use tokio::task::{JoinHandle, yield_now};

use super::{Harness, append, head, positions, read_all, write};
use crate::{Direction, EventStore, Filter, Message, Subscription};

/// Follows from `from` until `until` was seen or passed: the positions handed over.
fn follow(store: &Arc<dyn EventStore>, from: u64, until: u64, filter: Filter) -> JoinHandle<Vec<u64>> {
    let mut subscription = Subscription::new(Arc::clone(store), Position(from), filter);
    tokio::spawn(async move {
        let mut seen = vec![];
        let mut reached = Position(from);
        while reached < Position(until) {
            let told = match subscription.next().await.expect("the store is open") {
                Message::Events(events) => {
                    seen.extend(positions(&events));
                    events.last().expect("events are never empty").position
                }
                Message::Checkpoint(position) | Message::CaughtUp(position) => position,
            };
            assert!(told >= reached, "{told} was told after {reached}");
            reached = told;
        }
        seen
    })
}

pub async fn a_subscription_passes_from_history_to_live_without_gap_or_repeat(harness: &dyn Harness) {
    let store = harness.open().await;
    append(&store, "a", 0..1_000).await;
    let followers: Vec<_> = (0..4).map(|n| follow(&store, n * 250, 3_000, Filter::all())).collect();
    for batch in 0..200 {
        append(&store, "a", 1_000 + batch * 10..1_000 + (batch + 1) * 10).await;
        if batch % 7 == 0 {
            yield_now().await;
        }
    }
    for (n, follower) in followers.into_iter().enumerate() {
        let expected: Vec<u64> = (n as u64 * 250 + 1..=3_000).collect();
        assert!(follower.await.expect("the follower ends") == expected, "follower {n} skipped or repeated events");
    }
}

pub async fn slow_writers_and_their_subscribers_skip_no_position(harness: &dyn Harness) {
    const WRITERS: u64 = 8;
    const APPENDS: u64 = 40;
    let store = harness.open().await;
    // Each append has three events on two streams, so that commits overlap wherever a backend lets them.
    let until = WRITERS * APPENDS * 3;
    let mut followers = vec![follow(&store, 0, until, Filter::all())];
    let mut filtered = vec![follow(&store, 0, until, Filter::categories(["test.none"]))];
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in 0..APPENDS {
                    let first = (writer * APPENDS + n) * 3;
                    let own = write(&format!("w{writer}"), Expected::Any, [first, first + 1]);
                    let appending = store.append(vec![own, write("shared", Expected::Any, [first + 2])]);
                    for _ in 0..n % 5 {
                        yield_now().await;
                    }
                    appending.await.expect("nothing stands against it");
                }
            })
        })
        .collect();
    for _ in 0..6 {
        let mut head = store.head();
        let from = *head.borrow_and_update();
        followers.push(follow(&store, from.0, until, Filter::all()));
        filtered.push(follow(&store, from.0, until, Filter::categories(["test.none"])));
        if from < Position(until) {
            head.changed().await.expect("the store is open");
        }
    }
    for writer in writers {
        writer.await.expect("the writer ends");
    }
    for follower in followers {
        let seen = follower.await.expect("the follower ends");
        let first = seen.first().copied().unwrap_or(until + 1);
        assert!(seen == (first..=until).collect::<Vec<u64>>(), "a position was skipped: {seen:?}");
    }
    for follower in filtered {
        assert_eq!(follower.await.expect("the follower ends"), Vec::<u64>::new());
    }
}

pub async fn whoever_sees_a_position_can_read_all_before_it(harness: &dyn Harness) {
    const UNTIL: u64 = 400;
    let store = harness.open().await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in 0..UNTIL / 4 {
                    let appended = append(&store, &format!("w{writer}"), [writer * 1_000 + n]).await;
                    assert!(head(&store) >= appended.position.0, "answered before it could be read");
                }
            })
        })
        .collect();
    let mut watched = store.head();
    let mut seen = 0;
    while seen < UNTIL {
        watched.changed().await.expect("the store is open");
        seen = watched.borrow_and_update().0;
        let page = read_all(&store, 0, Direction::Forwards, &Filter::all(), 1_000).await;
        let read = positions(&page.events);
        assert!(read.len() as u64 >= seen, "{seen} was announced, {} could be read", read.len());
        assert!(read == (1..=read.len() as u64).collect::<Vec<u64>>(), "a gap below {seen}: {read:?}");
    }
    for writer in writers {
        writer.await.expect("the writer ends");
    }
}
