//! The queue over genuine servers. `make redis` installs them; without, these tests are left out (`- test(redis)`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_ingest_queue::{Queue, QueueFault, conformance};
use cairn_ingest_redis::RedisQueue;
use cairn_kernel::Secret;
use cairn_testkit::redis::{PASSWORD, Redis};
use uuid::Uuid;

fn queue(redis: &Redis, prefix: &str) -> RedisQueue {
    RedisQueue::new(&Secret::from(redis.url()), prefix, conformance::LIMITS).expect("it is an address")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_in_redis_does_what_every_queue_does_s1_19() {
    let redis = &Redis::started();
    conformance::all(|prefix| async move { Arc::new(queue(redis, &prefix)) as Arc<dyn Queue> }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_may_lose_what_it_has_acknowledged_is_refused() {
    for (options, word) in [
        (&["--appendonly", "no"][..], "appendonly is no"),
        (&["--appendonly", "yes", "--appendfsync", "everysec"], "appendfsync is everysec"),
        (
            &["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "allkeys-lru"],
            "maxmemory-policy is allkeys-lru",
        ),
    ] {
        let redis = Redis::with(options);
        let Err(QueueFault::Unsuitable(why)) = queue(&redis, "q").prepare(2).await else {
            panic!("{word}: it is accepted")
        };
        assert!(why.starts_with("INGEST_QUEUE_NOT_DURABLE") && why.contains(word), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_lets_nobody_in_is_refused_without_the_password() {
    let redis = Redis::started();
    let url = redis.url().replace(PASSWORD, "hunter2");
    let queue = RedisQueue::new(&Secret::from(url), "q", conformance::LIMITS).unwrap();
    let refused = queue.check().await.unwrap_err();
    assert!(!refused.to_string().contains("hunter2") && !queue.place().contains("hunter2"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_has_acknowledged_survives_that_it_is_killed_s1_19() {
    let mut redis = Redis::started();
    let queue = queue(&redis, "q");
    queue.prepare(2).await.unwrap();
    let mut acknowledged = vec![];
    for round in 0..3 {
        for n in 0..5 {
            let body = Bytes::from(format!("{round} {n}"));
            acknowledged.push((queue.enqueue(1, Uuid::new_v4(), body.clone()).await.unwrap(), body));
        }
        redis.kill();
        let away = queue.enqueue(1, Uuid::new_v4(), "lost".into()).await;
        assert!(matches!(away, Err(QueueFault::Away(_))), "{away:?}");
        redis.start_again();
        let mut found = vec![];
        for _ in 0..100 {
            match queue.read(1, 0, Duration::from_millis(500)).await {
                Ok(read) => {
                    found = read.into_iter().map(|message| (message.sequence, message.body)).collect();
                    break;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        found.retain(|(_, body)| body != "lost");
        assert_eq!(found, acknowledged);
        // And it goes on.
        while queue.standing(1).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
