use std::collections::BTreeMap;

use cairn_kernel::Time;

use super::log::TagChange;
use super::{Batch, Change, Event, Rejection, Run, RunState};
use crate::model::entry::tag;
use crate::model::{Limits, RunName};

/// A run about to begin.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The tag `mlflow.runName` is used when this is empty.
    pub display_name: String,
    pub state: RunState,
    pub user: String,
    pub start_time: Time,
    /// Id of the run it is nested in. The tag `mlflow.parentRunId` is used when this is absent.
    pub parent: Option<String>,
    pub experiment_revision: u32,
    pub artifact_location: String,
    pub params: BTreeMap<String, String>,
    pub tags: TagChange,
    pub limits: Limits,
}

impl Run {
    pub(super) fn create(&self, name: RunName, new: &NewRun) -> Result<Vec<Event>, Rejection> {
        if self.name.is_some() {
            return Err(Rejection::Exists(name));
        }
        let mut tags = new.tags.clone();
        let tagged_name = tags.set.remove(tag::RUN_NAME);
        let tagged_parent = tags.set.remove(tag::PARENT_RUN);
        let display_name =
            if new.display_name.is_empty() { tagged_name.unwrap_or_default() } else { new.display_name.clone() };
        let parent = new.parent.clone().or(tagged_parent).filter(|parent| !parent.is_empty());
        if parent.as_deref() == Some(name.run()) {
            return Err(Rejection::ParentInvalid(name.run().to_owned()));
        }
        let event = |change| Event { run: name.clone(), change };
        let created = event(Change::Created {
            display_name,
            state: new.state,
            user: new.user.clone(),
            start_time: new.start_time,
            parent,
            experiment_revision: new.experiment_revision,
            artifact_location: new.artifact_location.clone(),
        });
        // What it is started with is judged as a first batch would be.
        let mut begun = Self::default();
        cairn_kernel::Aggregate::evolve(&mut begun, &created);
        let batch = Batch { params: new.params.clone(), tags, limits: new.limits, ..Batch::default() };
        let logged = begun.log(&batch)?;
        Ok(std::iter::once(created).chain(logged.into_iter().map(event)).collect())
    }
}
