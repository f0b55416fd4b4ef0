//! What every store of metric points does, whichever engine it stands on.
//!
//! A backend is made over a log and feeds itself from it, so the suite speaks to it as the world does: by logging.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::{Commands, EventStore, Memory, Order};
use cairn_kernel::{Expected, SystemClock, Time};
use tokio::time::Instant;

use super::{MetricStore, Row};
use crate::model::experiment;
use crate::model::run::{Action, Command, NewRun, RunState, TagChange};
use crate::model::{Batch, Experiment, ExperimentName, Limits, Points, Run, RunName};

/// Bytes of states kept in memory.
const CACHE_BYTES: u64 = 16 << 20;
/// Longest wait for the backend.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the whole suite. `make` gives a backend that follows a log; it is called once for each part.
pub async fn all<M, F>(make: M)
where
    M: Fn(Arc<dyn EventStore>) -> F,
    F: Future<Output = Arc<dyn MetricStore>>,
{
    what_is_logged_reads_back_bit_by_bit_in_order(Bench::new(&make).await).await;
    points_logged_twice_are_shown_once(Bench::new(&make).await).await;
    pages_are_the_whole_whatever_their_size(Bench::new(&make).await).await;
    a_page_continues_after_the_last_point_whatever_was_logged_since(Bench::new(&make).await).await;
    a_sample_is_short_and_has_the_extremes(Bench::new(&make).await).await;
    what_was_never_logged_is_empty(Bench::new(&make).await).await;
    a_series_is_found_by_its_name_whatever_that_is(Bench::new(&make).await).await;
}

struct Bench {
    store: Arc<dyn MetricStore>,
    commands: Commands,
    run: RunName,
}

impl Bench {
    async fn new<M, F>(make: &M) -> Self
    where
        M: Fn(Arc<dyn EventStore>) -> F,
        F: Future<Output = Arc<dyn MetricStore>>,
    {
        let log: Arc<dyn EventStore> = Arc::new(Memory::new());
        let commands = Commands::new(Arc::clone(&log), Arc::new(SystemClock), CACHE_BYTES);
        let experiment: ExperimentName = "projects/p/experiments/1".parse().expect("is a name");
        let run = experiment.run("r").expect("is a name");
        let create = experiment::Command::Create {
            name: experiment.clone(),
            display_name: "a".into(),
            artifact_location: String::new(),
            tags: Default::default(),
        };
        let order = Order::default();
        let created = commands.execute::<Experiment>(&order, &experiment.stream(), Expected::NoStream, create).await;
        created.expect("the experiment is created");
        let bench = Self { store: make(log).await, commands, run };
        bench.act(Action::Create(Arc::new(new_run()))).await;
        bench
    }

    async fn act(&self, action: Action) {
        let command = Command { run: self.run.clone(), action };
        let done = self.commands.execute::<Run>(&Order::default(), &self.run.stream(), Expected::Any, command).await;
        let position = done.expect("the run takes it").position;
        self.store.reached(position, Instant::now() + PATIENCE).await.expect("the backend follows the log");
    }

    /// Logs points of `m`: step, milliseconds, value.
    async fn log(&self, rows: &[(i64, i64, f64)]) {
        self.log_as("m", rows).await;
    }

    async fn log_as(&self, metric: &str, rows: &[(i64, i64, f64)]) {
        let mut points = Points::builder();
        rows.iter().for_each(|(step, time_ms, value)| points.push(metric, None, *step, *time_ms, *value));
        let batch = Batch { metrics: Arc::new(points.finish()), limits: Limits::default(), ..Batch::default() };
        self.act(Action::Log(Arc::new(batch))).await;
    }

    /// The whole history, read in pages of this size.
    async fn history(&self, page: usize) -> Vec<(i64, i64, u64)> {
        let (mut rows, mut after) = (vec![], None);
        loop {
            let read = self.store.history(&self.run, "m", after, page).await.expect("a history reads");
            assert!(read.rows.len() <= page);
            rows.extend(read.rows.iter().map(bits));
            match read.next {
                Some(next) => after = Some(next),
                None => return rows,
            }
        }
    }
}

fn new_run() -> NewRun {
    NewRun {
        display_name: "r".into(),
        state: RunState::Running,
        user: String::new(),
        start_time: Time::default(),
        parent: None,
        experiment_revision: 1,
        artifact_location: String::new(),
        params: Default::default(),
        tags: TagChange::default(),
        limits: Limits::default(),
    }
}

fn bits(row: &Row) -> (i64, i64, u64) {
    (row.time_ms, row.step, row.value.to_bits())
}

async fn what_is_logged_reads_back_bit_by_bit_in_order(bench: Bench) {
    let rows = [
        (5, 30, f64::INFINITY),
        (i64::MIN, 10, f64::NAN),
        (0, 20, f64::NEG_INFINITY),
        (i64::MAX, 5, 0.1),
        (7, 20, -0.0),
        (7, 20, f64::MIN_POSITIVE),
    ];
    bench.log(&rows).await;
    let mut expected: Vec<_> = rows.iter().map(|&(step, time_ms, value)| Row { step, time_ms, value }).collect();
    expected.sort_by(Row::order);
    assert_eq!(bench.history(100).await, expected.iter().map(bits).collect::<Vec<_>>());
}

async fn points_logged_twice_are_shown_once(bench: Bench) {
    for _ in 0..3 {
        bench.log(&[(1, 1, 0.5), (1, 1, f64::NAN), (1, 1, 0.5), (2, 1, 0.5)]).await;
    }
    assert_eq!(bench.history(100).await.len(), 3);
}

async fn pages_are_the_whole_whatever_their_size(bench: Bench) {
    let mut sent = vec![];
    // Batches of many sizes, some of them from the past, so that whatever the backend packs together overlaps.
    for round in 0..300_i64 {
        let time_ms = |n| if round % 5 == 0 { n * 100 } else { round * 1000 + n };
        let rows: Vec<_> = (0..round % 37 + 1).map(|n| (round, time_ms(n), (round * n) as f64)).collect();
        sent.extend(rows.iter().map(|&(step, time_ms, value)| bits(&Row { step, time_ms, value })));
        bench.log(&rows).await;
    }
    sent.sort_unstable();
    sent.dedup();
    for page in [1_000_000, 1000, 7] {
        assert_eq!(bench.history(page).await, sent, "in pages of {page}");
    }
}

async fn a_page_continues_after_the_last_point_whatever_was_logged_since(bench: Bench) {
    bench.log(&[(0, 10, 0.0), (1, 11, 1.0), (2, 12, 2.0)]).await;
    let first = bench.store.history(&bench.run, "m", None, 2).await.expect("a history reads");
    bench.log(&[(9, 0, 9.0), (9, 99, 9.5)]).await;
    let second = bench.store.history(&bench.run, "m", first.next, 10).await.expect("a history reads");
    assert_eq!(second.rows.iter().map(|row| row.value).collect::<Vec<_>>(), [2.0, 9.5]);
    assert!(second.next.is_none());
}

async fn a_sample_is_short_and_has_the_extremes(bench: Bench) {
    let value = |step: i64| if step == 7777 { 1e6 } else { (step as f64).sin() };
    let rows: Vec<_> = (0..20_000).map(|step| (step, step, value(step))).collect();
    for rows in rows.chunks(6000) {
        bench.log(rows).await;
    }
    let sample = bench.store.sample(&bench.run, "m", i64::MIN..=i64::MAX, 400).await.expect("a sample reads");
    assert!(sample.rows.len() <= 400 && sample.rows.is_sorted_by_key(|row| row.step));
    assert_eq!(sample.total_count, 20_000);
    assert!(sample.rows.iter().any(|row| row.value == 1e6));
    let part = bench.store.sample(&bench.run, "m", 10..=12, 400).await.expect("a sample reads");
    assert_eq!(part.rows.iter().map(|row| row.step).collect::<Vec<_>>(), [10, 11, 12]);
}

async fn what_was_never_logged_is_empty(bench: Bench) {
    let elsewhere = "projects/q/experiments/1/runs/r".parse().expect("is a name");
    for (run, metric) in [(&bench.run, "m"), (&elsewhere, "m"), (&bench.run, "x' OR 1=1")] {
        let read = bench.store.history(run, metric, None, 10).await.expect("a history reads");
        assert!(read.rows.is_empty() && read.next.is_none());
        let sample = bench.store.sample(run, metric, 0..=9, 10).await.expect("a sample reads");
        assert_eq!((sample.rows.len(), sample.total_count), (0, 0));
    }
}

async fn a_series_is_found_by_its_name_whatever_that_is(bench: Bench) {
    let names = [
        "a'b",
        r"a\'b",
        r"a\\",
        "a\"b",
        "a b",
        "a/b.c-d",
        "größe",
        "損失",
        "%s",
        "NULL",
        "a\tb",
        "'; DROP TABLE metrics; --",
    ];
    for (value, name) in names.iter().enumerate() {
        bench.log_as(name, &[(1, 1, value as f64)]).await;
    }
    for (value, name) in names.iter().enumerate() {
        let read = bench.store.history(&bench.run, name, None, 10).await.expect("a history reads");
        assert_eq!(read.rows.iter().map(|row| row.value).collect::<Vec<_>>(), [value as f64], "{name}");
    }
}
