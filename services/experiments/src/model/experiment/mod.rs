//! An experiment: a question, and the runs that try to answer it.

mod fault;
#[cfg(test)]
mod spec;

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_kernel::Aggregate;

use super::entry::{Pairs, changes};
use super::{ExperimentName, Origin};

/// An experiment as its events left it. One without events does not exist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Experiment {
    name: Option<ExperimentName>,
    pub display_name: String,
    pub artifact_location: String,
    pub tags: Pairs,
    pub is_deleted: bool,
    /// Counts the edits, from 1 at its creation. Deleting and restoring are not edits.
    pub revision: u32,
}

/// What may be asked of an experiment.
#[derive(Clone, Debug)]
pub enum Command {
    Create {
        name: ExperimentName,
        display_name: String,
        artifact_location: String,
        tags: BTreeMap<String, String>,
    },
    /// Says in the append that creates it that it was made elsewhere.
    Import(Origin),
    /// Takes another display name. Whoever asks has claimed it in the same append.
    Rename {
        display_name: String,
    },
    Tag {
        set: BTreeMap<String, String>,
        delete: Vec<String>,
    },
    Delete,
    Restore,
}

/// What happened to an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub experiment: ExperimentName,
    pub change: Change,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Created { display_name: String, artifact_location: String, tags: BTreeMap<String, String> },
    Imported(Origin),
    Renamed { from: String, to: String, revision: u32 },
    TagsSet { tags: BTreeMap<String, String>, revision: u32 },
    TagsDeleted { keys: Vec<String>, revision: u32 },
    Deleted,
    Restored,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    #[error("no such experiment in this project")]
    NotFound,
    #[error("experiment {0} exists already")]
    Exists(ExperimentName),
    #[error("another experiment of the project, {holder}, is called {display_name:?}")]
    NameTaken { display_name: String, holder: ExperimentName },
    #[error("experiment {0} is deleted: restore it first")]
    Deleted(ExperimentName),
}

impl Aggregate for Experiment {
    const CATEGORY: &'static str = "experiments.experiment";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Rejection> {
        let changes = match command {
            Command::Create { name, display_name, artifact_location, tags } => {
                if self.name.is_some() {
                    return Err(Rejection::Exists(name));
                }
                let change = Change::Created { display_name, artifact_location, tags };
                return Ok(vec![Event { experiment: name, change }]);
            }
            Command::Import(origin) => self.active().map(|_| vec![Change::Imported(origin)])?,
            Command::Rename { display_name } => self.rename(display_name)?,
            Command::Tag { set, delete } => self.tag(set, delete)?,
            Command::Delete if self.found()?.is_deleted => vec![],
            Command::Delete => vec![Change::Deleted],
            Command::Restore if self.found()?.is_deleted => vec![Change::Restored],
            Command::Restore => vec![],
        };
        let experiment = self.name()?;
        Ok(changes.into_iter().map(|change| Event { experiment: experiment.clone(), change }).collect())
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created { display_name, artifact_location, tags } => {
                *self = Self {
                    name: Some(event.experiment.clone()),
                    display_name: display_name.clone(),
                    artifact_location: artifact_location.clone(),
                    tags: Arc::new(tags.clone()),
                    is_deleted: false,
                    revision: 1,
                };
            }
            Change::Imported(_) => {}
            Change::Renamed { to, revision, .. } => {
                self.display_name.clone_from(to);
                self.revision = *revision;
            }
            Change::TagsSet { tags, revision } => {
                Arc::make_mut(&mut self.tags).extend(tags.clone());
                self.revision = *revision;
            }
            Change::TagsDeleted { keys, revision } => {
                Arc::make_mut(&mut self.tags).retain(|key, _| !keys.contains(key));
                self.revision = *revision;
            }
            Change::Deleted => self.is_deleted = true,
            Change::Restored => self.is_deleted = false,
        }
    }
}

impl Experiment {
    /// Its name, if it exists.
    pub fn name(&self) -> Result<&ExperimentName, Rejection> {
        self.name.as_ref().ok_or(Rejection::NotFound)
    }

    /// Itself, if it exists and is in use: what every change to it or to its runs asks first.
    pub fn active(&self) -> Result<&Self, Rejection> {
        let name = self.name()?;
        if self.is_deleted { Err(Rejection::Deleted(name.clone())) } else { Ok(self) }
    }

    fn found(&self) -> Result<&Self, Rejection> {
        self.name()?;
        Ok(self)
    }

    fn rename(&self, to: String) -> Result<Vec<Change>, Rejection> {
        let current = self.active()?;
        if current.display_name == to {
            return Ok(vec![]);
        }
        Ok(vec![Change::Renamed { from: current.display_name.clone(), to, revision: self.revision + 1 }])
    }

    fn tag(&self, set: BTreeMap<String, String>, delete: Vec<String>) -> Result<Vec<Change>, Rejection> {
        let (tags, keys) = changes(&self.active()?.tags, set, delete);
        let mut changes = vec![];
        let mut revision = self.revision;
        if !tags.is_empty() {
            revision += 1;
            changes.push(Change::TagsSet { tags, revision });
        }
        if !keys.is_empty() {
            revision += 1;
            changes.push(Change::TagsDeleted { keys, revision });
        }
        Ok(changes)
    }
}
