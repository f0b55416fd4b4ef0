use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Rejection, Run};
use crate::model::limits::LINKS_PER_RUN_MAX;

/// A data set that a run read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    pub display_name: String,
    pub digest: String,
    pub source_type: String,
    pub source: String,
    pub schema: String,
    pub profile: String,
    pub tags: BTreeMap<String, String>,
}

impl Dataset {
    /// What makes it the same data set.
    pub(super) fn identity(&self) -> (String, String) {
        (self.display_name.clone(), self.digest.clone())
    }
}

impl Run {
    pub(super) fn log_inputs(&self, datasets: Vec<Dataset>, models: Vec<String>) -> Result<Vec<Change>, Rejection> {
        let mut seen = BTreeSet::new();
        let is_new = |dataset: &Dataset| !self.datasets.contains(&dataset.identity());
        let datasets: Vec<_> =
            datasets.into_iter().filter(|dataset| is_new(dataset) && seen.insert(dataset.identity())).collect();
        let models: BTreeSet<_> = models.into_iter().filter(|model| !self.input_models.contains(model)).collect();
        has_room("data sets", self.datasets.len() + datasets.len())?;
        has_room("input models", self.input_models.len() + models.len())?;
        if datasets.is_empty() && models.is_empty() {
            return Ok(vec![]);
        }
        Ok(vec![Change::InputsLogged { datasets, models: models.into_iter().collect() }])
    }

    pub(super) fn log_outputs(&self, models: Vec<(String, i64)>) -> Result<Vec<Change>, Rejection> {
        let models: BTreeMap<_, _> =
            models.into_iter().filter(|(model, _)| !self.output_models.contains(model)).collect();
        has_room("output models", self.output_models.len() + models.len())?;
        if models.is_empty() {
            return Ok(vec![]);
        }
        Ok(vec![Change::OutputsLogged(models.into_iter().collect())])
    }
}

fn has_room(what: &'static str, count: usize) -> Result<(), Rejection> {
    if count > LINKS_PER_RUN_MAX { Err(Rejection::Full { what, max: LINKS_PER_RUN_MAX }) } else { Ok(()) }
}
