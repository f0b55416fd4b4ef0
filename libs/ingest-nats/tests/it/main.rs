//! The queue over genuine servers. `make nats` fetches them; without, these tests are left out (`- test(nats)`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_ingest_nats::{Address, Durability, NatsQueue};
use cairn_ingest_queue::{Queue, QueueFault, conformance};
use cairn_kernel::Secret;
use cairn_testkit::nats::{Nats, PASSWORD};
use uuid::Uuid;

fn queue(nats: &Nats, prefix: &str, durability: Durability) -> NatsQueue {
    let address = Address::parse(&Secret::from(nats.url()), None, &nats.monitoring()).expect("they are addresses");
    NatsQueue::new(address, prefix, durability, conformance::LIMITS)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_in_nats_does_what_every_queue_does() {
    let nats = &Nats::started();
    conformance::all(|prefix| async move { Arc::new(queue(nats, &prefix, Durability::Synced)) as Arc<dyn Queue> })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_that_acknowledges_before_it_writes_is_refused() {
    let nats = Nats::with("sync_interval: \"2m\"");
    let Err(QueueFault::Unsuitable(why)) = queue(&nats, "q", Durability::Synced).prepare(2).await else {
        panic!("it is accepted");
    };
    assert!(why.starts_with("INGEST_QUEUE_NOT_DURABLE") && why.contains("sync_interval: always"), "{why}");
    // That several servers have a copy is no better than what it says when only one has.
    let refused = queue(&nats, "q", Durability::Replicated).prepare(2).await;
    assert!(matches!(refused, Err(QueueFault::Unsuitable(_) | QueueFault::Away(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_whose_monitoring_says_nothing_or_is_anothers_is_refused() {
    let (nats, another) = (Nats::started(), Nats::started());
    for (monitoring, word) in
        [("http://127.0.0.1:1".to_owned(), "ingest.nats_monitoring_url"), (another.monitoring(), "other")]
    {
        let address = Address::parse(&Secret::from(nats.url()), None, &monitoring).unwrap();
        let queue = NatsQueue::new(address, "q", Durability::Synced, conformance::LIMITS);
        let Err(QueueFault::Unsuitable(why)) = queue.check().await else { panic!("it is accepted: {monitoring}") };
        assert!(why.contains(word) && !why.contains(PASSWORD), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nats_has_acknowledged_survives_that_it_is_killed() {
    let mut nats = Nats::started();
    let queue = queue(&nats, "q", Durability::Synced);
    queue.prepare(2).await.unwrap();
    let mut acknowledged = vec![];
    for round in 0..3 {
        for n in 0..5 {
            let body = Bytes::from(format!("{round} {n}"));
            acknowledged.push((queue.enqueue(1, Uuid::new_v4(), body.clone()).await.unwrap(), body));
        }
        // A reader that was there before goes on after.
        let before = queue.read(1, 0, Duration::from_secs(1)).await.unwrap();
        assert!(!before.is_empty());
        nats.kill();
        let away = queue.enqueue(1, Uuid::new_v4(), "lost".into()).await;
        assert!(matches!(away, Err(QueueFault::Away(_))), "{away:?}");
        nats.start_again();
        let mut found = vec![];
        for _ in 0..100 {
            let after = found.last().map_or(0, |(sequence, _)| *sequence);
            match queue.read(1, after, Duration::from_millis(500)).await {
                Ok(read) if read.is_empty() && found.len() >= acknowledged.len() => break,
                Ok(read) => found.extend(read.into_iter().map(|message| (message.sequence, message.body))),
                Err(QueueFault::Away(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(fault) => panic!("{fault}"),
            }
        }
        // What was refused may have come through all the same: that is not known to whoever was refused.
        found.retain(|(_, body)| body != "lost");
        assert_eq!(found, acknowledged);
    }
}
