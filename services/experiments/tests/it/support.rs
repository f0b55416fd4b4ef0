use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cairn_access::ProjectQuota;
use cairn_eventstore::{Commands, EventStore, Memory, Order, RequestKey};
use cairn_experiments::app::{App, Call, NewBatch, NewExperiment, RunDraft};
use cairn_experiments::model::{BatchId, ExperimentName, Points, ProjectName, RunName};
use cairn_experiments::{Config, open};
use cairn_kernel::{Metadata, SystemClock};
use cairn_projection::View;
use cairn_service::AsOfReads;
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

/// This service over a log in memory and read models in a folder of its own.
pub struct Service {
    pub app: App,
    pub view: View,
    pub store: Memory,
    _folder: TempDir,
}

impl Service {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        Self::over(Memory::new(), config)
    }

    /// Another one over the same log: its read models start from nothing.
    pub fn over(store: Memory, config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let log: Arc<dyn EventStore> = Arc::new(store.clone());
        let commands = Commands::new(Arc::clone(&log), clock.clone(), 64 << 20);
        let past = AsOfReads::none(Arc::clone(&log), clock.clone());
        let (app, view) = open(log, commands, clock, folder.path(), past, config).unwrap();
        Self { app, view, store, _folder: folder }
    }

    pub async fn experiment(&self, display_name: &str) -> ExperimentName {
        let new = NewExperiment { display_name: display_name.into(), ..NewExperiment::default() };
        self.app.create_experiment(&call(), &project(), new).await.unwrap().value.name
    }

    pub async fn run(&self, experiment: &ExperimentName) -> RunName {
        self.app.create_run(&call(), experiment, RunDraft::default()).await.unwrap().value.name
    }

    pub async fn nested(&self, parent: &RunName) -> RunName {
        let draft = RunDraft { parent: Some(parent.run().to_owned()), ..RunDraft::default() };
        self.app.create_run(&call(), &parent.parent(), draft).await.unwrap().value.name
    }

    pub async fn log(&self, run: &RunName, batch: NewBatch) {
        self.app.log_batch(&call(), run, batch).await.unwrap();
    }
}

pub fn project() -> ProjectName {
    "projects/p".parse().unwrap()
}

pub fn call() -> Call {
    let metadata = Metadata { principal: "users/u-1".into(), ..Metadata::default() };
    Call {
        order: Order { metadata, request: None },
        deadline: Instant::now() + Duration::from_secs(10),
        after: None,
        as_of: None,
        quota: ProjectQuota::default(),
    }
}

/// A call that can be repeated.
pub fn request(id: &str) -> Call {
    let mut call = call();
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes());
    call.order.request = Some(RequestKey { id, hash: "h".into() });
    call
}

pub fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Points of one metric: step and value, one each millisecond.
pub fn points(key: &str, values: &[(i64, f64)]) -> Points {
    let mut points = Points::builder();
    for (at, (step, value)) in values.iter().enumerate() {
        points.push(key, None, *step, at as i64, *value);
    }
    points.finish()
}

pub fn metrics(points: Points) -> NewBatch {
    NewBatch { metrics: points, ..NewBatch::default() }
}

pub fn batch(id: &str, sha256: &str, points: Points) -> NewBatch {
    let id = Some(BatchId { id: id.into(), sha256: sha256.into() });
    NewBatch { id, metrics: points, ..NewBatch::default() }
}
