//! What every queue does, whichever engine it stands on.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Limits, Member, Queue, QueueFault};

/// Longest wait for the engine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Partitions of each queue.
const PARTITIONS: u16 = 4;
/// How much a queue of the suite takes.
pub const LIMITS: Limits = Limits { depth_max: 20, message_bytes_max: 1 << 20, patience: Duration::from_secs(5) };

/// Runs the whole suite. `make` gives a queue that shares nothing with the others of other names: one name, one queue.
pub async fn all<M, F>(make: M)
where
    M: Fn(String) -> F,
    F: Future<Output = Arc<dyn Queue>>,
{
    let prepared = async || {
        let queue = make(format!("test-{}", Uuid::new_v4().simple())).await;
        queue.prepare(PARTITIONS).await.expect("it is prepared");
        queue
    };
    an_engine_that_keeps_what_it_acknowledged_is_good_enough(&*prepared().await).await;
    messages_are_read_in_order_until_they_are_finished(&*prepared().await).await;
    a_message_that_comes_twice_is_there_once(&*prepared().await).await;
    a_full_partition_refuses_and_loses_nothing(&*prepared().await).await;
    whoever_reads_waits_for_what_comes(prepared().await).await;
    whoever_reads_may_begin_again_anywhere(&*prepared().await).await;
    what_was_put_away_is_no_message(&*prepared().await).await;
    the_table_is_written_by_one_at_a_time(&*prepared().await).await;
    large_messages_come_through_unchanged(&*prepared().await).await;
    members_share_the_partitions_and_take_over(prepared().await).await;
    let name = format!("test-{}", Uuid::new_v4().simple());
    let (first, second) = (make(name.clone()).await, make(name).await);
    two_processes_have_one_queue_in_common(&*first, &*second).await;
}

fn body(n: u64) -> Bytes {
    format!("message {n}").into()
}

async fn put(queue: &dyn Queue, partition: u16, n: u64) -> u64 {
    queue.enqueue(partition, Uuid::new_v4(), body(n)).await.expect("there is room")
}

/// All messages after a place.
async fn rest(queue: &dyn Queue, partition: u16, mut after: u64) -> Vec<(u64, Bytes)> {
    let mut all = vec![];
    loop {
        let messages = queue.read(partition, after, Duration::from_millis(300)).await.expect("it can be read");
        let Some(last) = messages.last() else { return all };
        after = last.sequence;
        all.extend(messages.into_iter().map(|message| (message.sequence, message.body)));
    }
}

async fn an_engine_that_keeps_what_it_acknowledged_is_good_enough(queue: &dyn Queue) {
    assert_eq!(queue.check().await, Ok(()));
    assert_eq!(queue.prepare(PARTITIONS).await, Ok(()), "twice is as good as once");
    assert!(matches!(queue.prepare(PARTITIONS + 1).await, Err(QueueFault::Unsuitable(_))));
}

async fn messages_are_read_in_order_until_they_are_finished(queue: &dyn Queue) {
    assert_eq!(queue.standing(0).await.map(|standing| (standing.depth(), standing.oldest)), Ok((0, None)));
    let mut put_there = vec![];
    for n in 0..10 {
        put_there.push((put(queue, 0, n).await, body(n)));
    }
    let of_another = put(queue, 1, 99).await;
    assert!(put_there.is_sorted(), "places grow");
    assert_eq!(rest(queue, 0, 0).await, put_there);
    assert_eq!(rest(queue, 0, put_there[3].0).await, put_there[4..]);
    let standing = queue.standing(0).await.expect("it answers");
    assert_eq!((standing.depth(), standing.enqueued), (10, put_there[9].0));
    assert!(standing.oldest.is_some());

    queue.finish(0, put_there[5].0).await.expect("it is finished");
    let standing = queue.standing(0).await.expect("it answers");
    assert_eq!((standing.depth(), standing.finished), (4, put_there[5].0));
    assert_eq!(rest(queue, 0, 0).await, put_there[6..]);
    queue.finish(0, put_there[2].0).await.expect("it is finished already");
    assert_eq!(rest(queue, 0, standing.finished).await, put_there[6..]);

    queue.finish(0, put_there[9].0).await.expect("it is finished");
    let standing = queue.standing(0).await.expect("it answers");
    assert_eq!((standing.depth(), standing.oldest), (0, None));
    assert_eq!(rest(queue, 0, standing.finished).await, vec![]);
    let next = put(queue, 0, 10).await;
    assert!(next > put_there[9].0, "an empty partition goes on where it was");
    assert_eq!(rest(queue, 0, standing.finished).await, vec![(next, body(10))]);
    assert_eq!(rest(queue, 1, 0).await, vec![(of_another, body(99))]);
}

async fn a_message_that_comes_twice_is_there_once(queue: &dyn Queue) {
    let id = Uuid::new_v4();
    let first = queue.enqueue(2, id, body(1)).await.expect("there is room");
    put(queue, 2, 2).await;
    assert_eq!(queue.enqueue(2, id, body(1)).await, Ok(first));
    assert_eq!(rest(queue, 2, 0).await.len(), 2);
    queue.finish(2, first).await.expect("it is finished");
    assert_eq!(queue.enqueue(2, id, body(1)).await, Ok(first), "it is known after it was finished");
    assert_eq!(rest(queue, 2, first).await.len(), 1);
}

async fn a_full_partition_refuses_and_loses_nothing(queue: &dyn Queue) {
    let mut last = 0;
    for n in 0..LIMITS.depth_max {
        last = put(queue, 0, n).await;
    }
    let refused = queue.enqueue(0, Uuid::new_v4(), body(0)).await;
    assert!(matches!(refused, Err(QueueFault::Full(_))), "{refused:?}");
    put(queue, 1, 0).await;
    assert_eq!(rest(queue, 0, 0).await.len() as u64, LIMITS.depth_max);
    queue.finish(0, last).await.expect("it is finished");
    put(queue, 0, 0).await;
}

async fn whoever_reads_waits_for_what_comes(queue: Arc<dyn Queue>) {
    let began = Instant::now();
    assert_eq!(queue.read(0, 0, Duration::from_millis(200)).await, Ok(vec![]));
    assert!(began.elapsed() >= Duration::from_millis(150), "it waits, and does not ask all the time");
    for n in 0..5 {
        let reading = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.read(0, n, PATIENCE).await }
        });
        sleep(Duration::from_millis(50)).await;
        let (began, sequence) = (Instant::now(), put(&*queue, 0, n).await);
        let read = reading.await.expect("it does not panic").expect("it can be read");
        assert_eq!(read.iter().map(|message| message.sequence).collect::<Vec<_>>(), [sequence]);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

async fn whoever_reads_may_begin_again_anywhere(queue: &dyn Queue) {
    let mut all = vec![];
    for n in 0..12 {
        all.push((put(queue, 3, n).await, body(n)));
    }
    for from in [0, 7, 2, 11, 5] {
        let after = if from == 0 { 0 } else { all[from - 1].0 };
        let read = queue.read(3, after, PATIENCE).await.expect("it can be read");
        assert_eq!((read[0].sequence, &read[0].body), (all[from].0, &all[from].1));
        assert_eq!(rest(queue, 3, after).await, all[from..]);
    }
}

async fn what_was_put_away_is_no_message(queue: &dyn Queue) {
    queue.bury(body(1), "nobody can read it").await.expect("there is room");
    for partition in 0..PARTITIONS {
        assert_eq!(rest(queue, partition, 0).await, vec![]);
    }
}

async fn the_table_is_written_by_one_at_a_time(queue: &dyn Queue) {
    let (made, version) = queue.table().await.expect("it can be read");
    assert!(made.is_some(), "preparing makes it");
    assert_eq!(queue.swap(version, "one".into()).await, Ok(true));
    assert_eq!(queue.swap(version, "two".into()).await, Ok(false));
    let (table, now) = queue.table().await.expect("it can be read");
    assert_eq!(table, Some("one".into()));
    let many = (0..10).map(|n| queue.swap(now, format!("racer {n}").into()));
    let won = futures::future::join_all(many).await.into_iter().filter(|won| *won == Ok(true)).count();
    assert_eq!(won, 1);
}

async fn large_messages_come_through_unchanged(queue: &dyn Queue) {
    let large: Bytes = (0..LIMITS.message_bytes_max / 2).map(|n| (n % 251) as u8).collect::<Vec<_>>().into();
    let sequence = queue.enqueue(0, Uuid::new_v4(), large.clone()).await.expect("there is room");
    assert_eq!(rest(queue, 0, 0).await, vec![(sequence, large)]);
}

async fn two_processes_have_one_queue_in_common(first: &dyn Queue, second: &dyn Queue) {
    first.prepare(PARTITIONS).await.expect("it is prepared");
    second.prepare(PARTITIONS).await.expect("it is prepared already");
    let one = put(first, 1, 1).await;
    let two = put(second, 1, 2).await;
    let all = vec![(one, body(1)), (two, body(2))];
    assert_eq!((rest(first, 1, 0).await, rest(second, 1, 0).await), (all.clone(), all));
    first.finish(1, one).await.expect("it is finished");
    assert_eq!(second.standing(1).await.map(|standing| standing.depth()), Ok(1));
}

async fn members_share_the_partitions_and_take_over(queue: Arc<dyn Queue>) {
    let ttl = Duration::from_millis(800);
    let begin = |name: &str| {
        let member = Member::new(Arc::clone(&queue), PARTITIONS, name.to_owned(), ttl);
        let (held, stop) = (member.held(), CancellationToken::new());
        let work = |_, lease: crate::Lease| async move { lease.ending().await };
        (held, stop.clone(), tokio::spawn(member.run(stop, work)))
    };
    let (mut held_by_a, stop_a, a) = begin("a");
    let all = async |held: &mut tokio::sync::watch::Receiver<crate::Held>, count: usize| {
        timeout(PATIENCE, held.wait_for(|held| held.len() == count)).await.expect("in time").expect("it runs").clone()
    };
    all(&mut held_by_a, 4).await;
    let (mut held_by_b, stop_b, b) = begin("b");
    let (mine, theirs) = (all(&mut held_by_a, 2).await, all(&mut held_by_b, 2).await);
    assert!(mine.is_disjoint(&theirs), "{mine:?} {theirs:?}");
    // One that ends says so.
    stop_b.cancel();
    b.await.expect("it does not panic");
    all(&mut held_by_a, 4).await;
    // One that dies says nothing.
    let (mut held_by_c, stop_c, c) = begin("c");
    all(&mut held_by_c, 2).await;
    a.abort();
    let began = Instant::now();
    all(&mut held_by_c, 4).await;
    assert!(began.elapsed() < ttl * 4, "{:?}", began.elapsed());
    stop_a.cancel();
    stop_c.cancel();
    c.await.expect("it does not panic");
}
