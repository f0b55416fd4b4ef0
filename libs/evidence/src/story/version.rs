use std::collections::BTreeMap;

use cairn_contract::cairn::registry::events::v1::ModelVersionCreated;
use serde::{Deserialize, Serialize};

use super::StoryFault;
use super::run::{Artifact, artifacts};
use crate::event::Event;

/// A version that was to move, as it was registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    pub name: String,
    pub creator: String,
    pub create_time: String,
    /// The run that made it. Empty: none is known.
    pub source_run: String,
    /// The logged model that it is. Empty: none is known.
    pub source_model: String,
    /// The files of that logged model, by path.
    pub artifacts: BTreeMap<String, Artifact>,
    /// Where its files were said to be.
    pub artifact_uri: String,
    pub framework: String,
    pub hyperparameters: BTreeMap<String, String>,
    /// As texts, so that they are read as they were written.
    pub metrics: BTreeMap<String, String>,
}

impl Version {
    pub fn of(name: &str, events: &[Event]) -> Result<Self, StoryFault> {
        let created = events.iter().find_map(|event| {
            event.message::<ModelVersionCreated>().filter(|told| told.version == name).map(|told| (event, told))
        });
        let (event, told) = created.ok_or_else(|| StoryFault::Unknown(name.to_owned()))?;
        let owner = (!told.source_model.is_empty()).then(|| format!("/loggedModels/{}", told.source_model));
        let artifacts = owner.map(|owner| artifacts(events, |name| name.ends_with(&owner))).unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            creator: event.principal.clone(),
            create_time: event.time.clone(),
            source_run: told.source_run,
            source_model: told.source_model,
            artifacts,
            artifact_uri: told.artifact_uri,
            framework: told.framework,
            hyperparameters: told.hyperparameters.into_iter().collect(),
            metrics: told.metrics.into_iter().map(|(metric, value)| (metric, value.to_string())).collect(),
        })
    }
}
