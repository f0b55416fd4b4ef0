use std::sync::Arc;

use bytes::Bytes;
use cairn_eventstore::{EventStore, Filter, Memory, Message, NewEvent, ReadFault, Subscription, Write};
use cairn_kernel::{Expected, Position, StreamName};
use futures::FutureExt;
use uuid::Uuid;

async fn append(store: &Memory, category: &str, count: usize) {
    for _ in 0..count {
        let event = NewEvent { id: Uuid::new_v4(), kind: "t.X".into(), payload: Bytes::new(), metadata: Bytes::new() };
        store.append(vec![Write::new(StreamName::of(category, "1"), Expected::Any, vec![event])]).await.unwrap();
    }
}

fn follow(store: &Memory, from: u64, filter: Filter) -> Subscription {
    Subscription::new(Arc::new(store.clone()), Position(from), filter)
}

fn last(message: &Message) -> Position {
    match message {
        Message::Events(events) => events.last().expect("never empty").position,
        Message::Checkpoint(position) | Message::CaughtUp(position) => *position,
    }
}

#[tokio::test]
async fn history_comes_first_then_the_caught_up_mark_then_live_events() {
    let store = Memory::new();
    append(&store, "a", 2).await;
    let mut subscription = follow(&store, 0, Filter::all());
    assert!(matches!(subscription.next().await, Ok(Message::Events(events)) if events.len() == 2));
    assert!(matches!(subscription.next().await, Ok(Message::CaughtUp(Position(2)))));
    append(&store, "a", 1).await;
    assert!(matches!(subscription.next().await, Ok(Message::Events(events)) if events[0].position == Position(3)));
}

#[tokio::test]
async fn unwanted_events_move_the_place_to_resume_from() {
    let store = Memory::new();
    append(&store, "a", 1).await;
    append(&store, "b", 600).await;
    let mut subscription = follow(&store, 0, Filter::categories(["a"]));
    let mut told = vec![];
    loop {
        let message = subscription.next().await.unwrap();
        told.push(last(&message));
        if matches!(message, Message::CaughtUp(_)) {
            break;
        }
    }
    assert_eq!(told.last(), Some(&Position(601)));
    append(&store, "b", 1).await;
    assert!(matches!(subscription.next().await, Ok(Message::Checkpoint(Position(602)))));
}

#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let store = Memory::new();
    let mut subscription = follow(&store, 0, Filter::all());
    assert!(matches!(subscription.next().await, Ok(Message::CaughtUp(Position(0)))));
    for position in 1..20 {
        assert!(subscription.next().now_or_never().is_none());
        append(&store, "a", 1).await;
        assert_eq!(last(&subscription.next().await.unwrap()), Position(position));
    }
}

#[tokio::test]
async fn a_subscriber_that_is_ahead_of_the_log_is_told_so() {
    let store = Memory::new();
    append(&store, "a", 1).await;
    assert!(matches!(follow(&store, 2, Filter::all()).next().await, Err(ReadFault::Damaged(_))));
}
