//! Stores of points that several processes share: what holds for each of them.

mod clickhouse;
mod memory;
mod postgresql;

use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::{EventStore, Memory};
use cairn_experiments::Config;
use cairn_experiments::metrics::{Followed, MetricFault, MetricStore};
use cairn_experiments::model::RunName;
use cairn_kernel::{Position, Time};
use cairn_points::{Batch, Checkpoint, Engine, EngineFault, Entry, Row, Series};
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::{Service, metrics, points};

/// Longest wait for what happens by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a service logs, and how much of it.
struct Logged {
    service: Service,
    run: RunName,
    steps: i64,
}

impl Logged {
    async fn new() -> Self {
        let service = Service::over(Memory::new(), Config::default());
        let run = service.run(&service.experiment("a").await).await;
        Self { service, run, steps: 0 }
    }

    fn log(&self) -> Arc<dyn EventStore> {
        Arc::new(self.service.store.clone())
    }

    /// Logs this many points of `m`, one a step.
    async fn more(&mut self, count: i64) {
        let rows: Vec<_> = (self.steps..self.steps + count).map(|step| (step, step as f64)).collect();
        self.service.log(&self.run, metrics(points("m", &rows))).await;
        self.steps += count;
    }

    fn end(&self) -> Position {
        *self.service.store.head().borrow()
    }

    /// Waits until a store has everything, over whatever it stumbles, and checks that it has.
    async fn is_all_in(&self, store: &Followed) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(fault) = store.reached(self.end(), deadline).await {
            assert!(matches!(fault, MetricFault::Engine(_)) && Instant::now() < deadline, "{fault}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let rows = store.history(&self.run, "m", None, 1_000_000).await.unwrap().rows;
        let mut steps: Vec<_> = rows.iter().map(|row| row.step).collect();
        steps.sort_unstable();
        assert_eq!(steps, (0..self.steps).collect::<Vec<_>>());
    }
}

fn batch(from: Checkpoint, position: u64, values: &[f64]) -> Batch {
    let time = Time::from_millis(1_700_000_000_000 + position as i64);
    let event = Uuid::from_u128(position.into());
    let row = |(at, value): (usize, &f64)| (0, Row { step: position as i64, time_ms: at as i64, value: *value });
    let entry = Entry {
        project: "p".into(),
        run: "r".into(),
        position: Position(position),
        event,
        time,
        metrics: vec!["m".into()],
        points: values.iter().enumerate().map(row).collect(),
    };
    Batch { from, entries: vec![entry], to: Checkpoint { position: Position(position), event: Some(event), time } }
}

async fn values(engine: &dyn Engine) -> Vec<f64> {
    let series = Series { project: "p", run: "r", metric: "m" };
    engine.by_step(series, i64::MIN..=i64::MAX).await.unwrap().iter().map(|row| row.value).collect()
}

async fn whoever_was_taken_over_from_stores_nothing_more(one: Arc<dyn Engine>, other: Arc<dyn Engine>) {
    one.prepare().await.unwrap();
    let (first, from) = one.take_over().await.unwrap();
    assert_eq!(from, Checkpoint::default());
    let stored = batch(from, 5, &[1.0, 2.0]);
    one.write(first, &stored).await.unwrap();
    let (second, from) = other.take_over().await.unwrap();
    assert_eq!(from, stored.to);
    // The same, and something else.
    for late in [batch(stored.from, 5, &[1.0, 2.0]), batch(stored.to, 6, &[3.0])] {
        assert_eq!(one.write(first, &late).await, Err(EngineFault::Fenced));
    }
    assert_eq!(values(&*other).await, [1.0, 2.0]);
    other.write(second, &batch(from, 7, &[4.0])).await.unwrap();
    assert_eq!(values(&*one).await, [1.0, 2.0, 4.0]);
    assert_eq!(one.checkpoint().await.unwrap().position, Position(7));
}

async fn one_of_two_processes_stores_and_the_other_takes_over_when_it_ends(make: impl Fn() -> Arc<dyn Engine>) {
    let mut logged = Logged::new().await;
    logged.more(100).await;
    let first = Followed::start(make(), logged.log());
    logged.is_all_in(&first).await;
    let second = Followed::start(make(), logged.log());
    logged.is_all_in(&second).await;
    for _ in 0..5 {
        logged.more(10).await;
        logged.is_all_in(&first).await;
        logged.is_all_in(&second).await;
    }
    // Whoever came last writes, and the other has found out.
    assert_eq!((first.state().is_writer, second.state().is_writer), (false, true));
    drop(second);
    let ended = Instant::now();
    logged.more(10).await;
    logged.is_all_in(&first).await;
    assert!(ended.elapsed() < Duration::from_secs(10), "it took {:?}", ended.elapsed());
    assert!(first.state().is_writer);
}

async fn what_was_made_from_another_log_is_left_alone(make: impl Fn() -> Arc<dyn Engine>) {
    let mut ours = Logged::new().await;
    ours.more(20).await;
    let store = Followed::start(make(), ours.log());
    ours.is_all_in(&store).await;
    let mut theirs = Logged::new().await;
    theirs.more(5).await;
    theirs.more(5).await;
    let stranger = Followed::start(make(), theirs.log());
    let fault = stranger.reached(theirs.end(), Instant::now() + PATIENCE).await.unwrap_err();
    assert!(fault.to_string().contains("METRIC_STORE_FOREIGN"), "{fault}");
    ours.more(5).await;
    ours.is_all_in(&store).await;
    assert!(store.state().is_writer);
}
