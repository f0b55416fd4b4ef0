use std::collections::BTreeMap;

use cairn_contract::cairn::experiments::events::v1::{
    ArtifactDeleted, ArtifactRecorded, InputsLogged, MetricsLogged, ParamsLogged, RunCreated, RunTagsSet,
};
use serde::{Deserialize, Serialize};

use crate::event::Event;

/// What MLflow's clients say of the code that ran.
const CODE: &str = "mlflow.source.";

/// The run that made a version: from which data and code, with which results.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    pub name: String,
    pub creator: String,
    pub create_time: String,
    pub datasets: Vec<Dataset>,
    /// Tags that tell of the code: its name, kind and commit.
    pub code: BTreeMap<String, String>,
    pub params: BTreeMap<String, String>,
    /// What was logged last of each metric, as texts.
    pub metrics: BTreeMap<String, String>,
    /// The files it left, by path.
    pub artifacts: BTreeMap<String, Artifact>,
}

/// Data that went in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    pub name: String,
    pub digest: String,
    pub source: String,
}

/// A file, as its digest tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    pub sha256: String,
    pub size_bytes: u64,
}

impl Run {
    /// `None`: the events do not tell of it.
    pub fn of(name: &str, events: &[Event]) -> Option<Self> {
        let created = |event: &Event| event.message::<RunCreated>().filter(|told| told.run == name);
        let event = events.iter().find(|event| created(event).is_some())?;
        let mut run = Self {
            name: name.to_owned(),
            creator: event.principal.clone(),
            create_time: event.time.clone(),
            artifacts: artifacts(events, |owner| owner == name),
            ..Self::default()
        };
        events.iter().for_each(|event| run.hear(event));
        Some(run)
    }

    fn hear(&mut self, event: &Event) {
        if let Some(told) = event.message::<ParamsLogged>().filter(|told| told.run == self.name) {
            self.params.extend(told.params);
        } else if let Some(told) = event.message::<RunTagsSet>().filter(|told| told.run == self.name) {
            self.tag(told.tags);
        } else if let Some(told) = event.message::<MetricsLogged>().filter(|told| told.run == self.name) {
            for (at, value) in told.values.iter().enumerate() {
                // Without indexes all points are of the first metric.
                let key = told.key_indexes.get(at).copied().unwrap_or_default();
                if let Some(key) = told.keys.get(key as usize) {
                    self.metrics.insert(key.clone(), value.to_string());
                }
            }
        } else if let Some(told) = event.message::<InputsLogged>().filter(|told| told.run == self.name) {
            self.datasets.extend(told.datasets.into_iter().map(|dataset| Dataset {
                name: dataset.display_name,
                digest: dataset.digest,
                source: dataset.source,
            }));
        }
    }

    fn tag(&mut self, tags: impl IntoIterator<Item = (String, String)>) {
        self.code.extend(tags.into_iter().filter(|(key, _)| key.starts_with(CODE)));
    }
}

/// The files that an owner has in the end, by path.
pub(super) fn artifacts(events: &[Event], is_owner: impl Fn(&str) -> bool) -> BTreeMap<String, Artifact> {
    let mut artifacts = BTreeMap::new();
    for event in events {
        if let Some(told) = event.message::<ArtifactRecorded>().filter(|told| is_owner(&told.owner)) {
            artifacts.insert(told.path, Artifact { sha256: told.sha256, size_bytes: told.size_bytes });
        } else if let Some(told) = event.message::<ArtifactDeleted>().filter(|told| is_owner(&told.owner)) {
            artifacts.remove(&told.path);
        }
    }
    artifacts
}
