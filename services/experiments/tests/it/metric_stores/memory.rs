use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use cairn_eventstore::{Commands, EventStore, Memory};
use cairn_experiments::app::App;
use cairn_experiments::metrics::{Followed, MetricFault, MetricStore, conformance};
use cairn_experiments::{Config, open, open_with};
use cairn_kernel::{Code, SystemClock};
use cairn_points::{Batch, Checkpoint, Engine, EngineFault, Row, Series, Tenure};
use cairn_service::{AsOfReads, Refusal};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    Logged, PATIENCE, one_of_two_processes_stores_and_the_other_takes_over_when_it_ends,
    what_was_made_from_another_log_is_left_alone, whoever_was_taken_over_from_stores_nothing_more,
};
use crate::support::{call, metrics, points};

/// An engine that can be away, for what does not depend on a real one.
#[derive(Default)]
struct InMemory {
    is_away: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    tenure: u64,
    checkpoint: Checkpoint,
    series: BTreeMap<[String; 3], Vec<Row>>,
}

impl InMemory {
    fn kept<T>(&self, work: impl FnOnce(&mut Kept) -> Result<T, EngineFault>) -> Result<T, EngineFault> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(EngineFault::Away("it is switched off".to_owned())),
            false => work(&mut self.kept.lock()),
        }
    }

    fn of(&self, series: Series<'_>) -> Result<Vec<Row>, EngineFault> {
        let key = [series.project, series.run, series.metric].map(str::to_owned);
        self.kept(|kept| Ok(kept.series.get(&key).cloned().unwrap_or_default()))
    }
}

#[async_trait]
impl Engine for InMemory {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }

    async fn prepare(&self) -> Result<(), EngineFault> {
        self.kept(|_| Ok(()))
    }

    async fn checkpoint(&self) -> Result<Checkpoint, EngineFault> {
        self.kept(|kept| Ok(kept.checkpoint))
    }

    async fn take_over(&self) -> Result<(Tenure, Checkpoint), EngineFault> {
        self.kept(|kept| {
            kept.tenure += 1;
            Ok((Tenure(kept.tenure), kept.checkpoint))
        })
    }

    async fn write(&self, tenure: Tenure, batch: &Batch) -> Result<(), EngineFault> {
        self.kept(|kept| {
            if (tenure.0, batch.from) != (kept.tenure, kept.checkpoint) {
                return Err(EngineFault::Fenced);
            }
            for entry in &batch.entries {
                for (metric, row) in &entry.points {
                    let key = [&entry.project, &entry.run, &entry.metrics[*metric as usize]].map(Clone::clone);
                    kept.series.entry(key).or_default().push(*row);
                }
            }
            kept.checkpoint = batch.to;
            Ok(())
        })
    }

    async fn history(&self, series: Series<'_>, after: Option<Row>, limit: usize) -> Result<Vec<Row>, EngineFault> {
        let mut rows = self.of(series)?;
        rows.retain(|row| after.is_none_or(|after| row.order(&after).is_gt()));
        rows.sort_by(Row::order);
        rows.dedup();
        rows.truncate(limit);
        Ok(rows)
    }

    async fn by_step(&self, series: Series<'_>, steps: RangeInclusive<i64>) -> Result<Vec<Row>, EngineFault> {
        let mut rows = self.of(series)?;
        rows.retain(|row| steps.contains(&row.step));
        rows.sort_by(|a, b| a.step.cmp(&b.step).then_with(|| a.order(b)));
        Ok(rows)
    }
}

#[tokio::test]
async fn whatever_follows_the_log_for_an_engine_does_what_every_store_of_points_does() {
    let make =
        |log| async move { Arc::new(Followed::start(Arc::new(InMemory::default()), log)) as Arc<dyn MetricStore> };
    conformance::all(make).await;
}

#[tokio::test]
async fn turns_and_logs_are_told_apart_by_whatever_follows_for_an_engine() {
    let one: Arc<dyn Engine> = Arc::new(InMemory::default());
    whoever_was_taken_over_from_stores_nothing_more(Arc::clone(&one), one).await;
    let one: Arc<dyn Engine> = Arc::new(InMemory::default());
    one_of_two_processes_stores_and_the_other_takes_over_when_it_ends(|| Arc::clone(&one)).await;
    let one: Arc<dyn Engine> = Arc::new(InMemory::default());
    what_was_made_from_another_log_is_left_alone(|| Arc::clone(&one)).await;
}

#[tokio::test]
async fn the_read_model_has_what_a_series_comes_to_and_its_points_only_if_nobody_else_has_them() {
    let mut logged = Logged::new().await;
    logged.more(200).await;
    let folder = tempfile::tempdir().unwrap();
    let opened = async |points: Option<Followed>| {
        let (log, clock) = (logged.log(), Arc::new(SystemClock));
        let commands = Commands::new(Arc::clone(&log), clock.clone(), 0);
        let past = AsOfReads::none(Arc::clone(&log), clock.clone());
        let (app, view) = match points {
            None => open(log, commands, clock, folder.path(), past, Config::default()).unwrap(),
            points => open_with(log, commands, clock, folder.path(), past, Config::default(), points).unwrap(),
        };
        view.reached(logged.end(), Instant::now() + PATIENCE).await.unwrap();
        app.settle_points(&call()).await.unwrap();
        assert_eq!(app.metrics().history(&logged.run, "m", None, 1000).await.unwrap().rows.len(), 200);
        view.stop(PATIENCE).await;
        let file = rusqlite::Connection::open(folder.path().join("experiments.sqlite")).unwrap();
        let count =
            |table| file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap();
        ["metric", "metric_chunk", "metric_tail"].map(count)
    };
    assert_eq!(opened(None).await, [1, 3, 1]);
    let elsewhere = Followed::start(Arc::new(InMemory::default()), logged.log());
    assert_eq!(opened(Some(elsewhere)).await, [1, 0, 0]);
    assert_eq!(opened(None).await, [1, 3, 1]);
}

#[tokio::test]
async fn while_an_engine_is_away_all_works_but_reading_points() {
    let engine = Arc::new(InMemory::default());
    let log: Arc<dyn EventStore> = Arc::new(Memory::new());
    let clock = Arc::new(SystemClock);
    let commands = Commands::new(Arc::clone(&log), clock.clone(), 0);
    let past = AsOfReads::none(Arc::clone(&log), clock.clone());
    let folder = tempfile::tempdir().unwrap();
    let store = Followed::start(engine.clone(), Arc::clone(&log));
    let (app, _view): (App, _) =
        open_with(log, commands, clock, folder.path(), past, Config::default(), Some(store.clone())).unwrap();
    let new = cairn_experiments::app::NewExperiment { display_name: "a".into(), ..Default::default() };
    let experiment = app.create_experiment(&call(), &crate::support::project(), new).await.unwrap().value.name;
    let run = app.create_run(&call(), &experiment, Default::default()).await.unwrap().value.name;
    app.log_batch(&call(), &run, metrics(points("m", &[(0, 0.5)]))).await.unwrap();
    app.settle_points(&call()).await.unwrap();

    engine.is_away.store(true, Ordering::SeqCst);
    let began = Instant::now();
    for step in 1..20 {
        app.log_batch(&call(), &run, metrics(points("m", &[(step, 0.5)]))).await.unwrap();
    }
    assert!(began.elapsed() < PATIENCE / 10, "{:?}", began.elapsed());
    let refused: Refusal = app.settle_points(&call()).await.unwrap_err();
    assert_eq!((refused.code, refused.reason), (Code::Unavailable, "METRIC_STORE_UNAVAILABLE"));
    let fault = app.metrics().history(&run, "m", None, 10).await.unwrap_err();
    assert!(matches!(fault, MetricFault::Engine(EngineFault::Away(_))), "{fault:?}");
    assert!(store.state().trouble.is_some());

    engine.is_away.store(false, Ordering::SeqCst);
    let deadline = Instant::now() + PATIENCE;
    while app.settle_points(&call()).await.is_err() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(app.metrics().history(&run, "m", None, 100).await.unwrap().rows.len(), 20);
}
