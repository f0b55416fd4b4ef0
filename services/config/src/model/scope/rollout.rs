//! How a staged revision of the platform's settings reaches every process: one tries it, then all take it over, or it is
//! taken back.

use std::collections::BTreeMap;

use super::{Change, Environment, Happened, Scope};
use crate::model::{EnvironmentId, Json, Key, Text};

/// How far a staged revision is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// Who tries it.
    pub replica: Option<String>,
}

/// How a process fares with a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It tries it.
    Begun,
    /// It tried it, and is well.
    Finished,
    /// It took it over, and is not well.
    Abandoned(String),
}

impl Environment {
    /// How far the last revision is; `None`: every process takes it over.
    pub fn stage(&self) -> Option<&Stage> {
        self.stage.as_ref()
    }

    /// What counts for one process: the last revision, or the one before while somebody else tries it.
    pub fn values_for(&self, replica: &str) -> BTreeMap<Key, Json> {
        let is_waiting = self.stage.as_ref().is_some_and(|stage| stage.replica.as_deref() != Some(replica));
        if !is_waiting {
            return self.entries.clone();
        }
        let mut before = self.clone();
        self.undo.iter().for_each(|change| before.apply(change));
        before.entries
    }

    pub(super) fn note(&mut self, revision: u32, replica: &str, step: &Step) {
        if revision != self.revision {
            return;
        }
        match step {
            Step::Begun => self.stage = Some(Stage { replica: Some(replica.to_owned()) }),
            Step::Finished => self.stage = None,
            Step::Abandoned(_) => (self.stage, self.is_abandoned) = (None, true),
        }
    }
}

impl Scope {
    /// What comes of a process's word on a revision. Words on what is no longer the last change nothing.
    pub(super) fn report(&self, id: &EnvironmentId, revision: u32, replica: String, step: Step) -> Vec<Happened> {
        let Some(environment) = self.environment(id).filter(|environment| environment.revision == revision) else {
            return vec![];
        };
        let tried_by = environment.stage.as_ref().map(|stage| stage.replica.as_deref());
        let reported = |step| Happened::Reported { id: id.clone(), revision, replica: replica.clone(), step };
        match step {
            // One tries it: whoever says so first.
            Step::Begun if tried_by == Some(None) => vec![reported(Step::Begun)],
            Step::Finished if tried_by == Some(Some(&replica)) => vec![reported(Step::Finished)],
            Step::Begun | Step::Finished => vec![],
            // What took a revision back is not taken back.
            Step::Abandoned(_) if environment.undo.is_empty() => vec![],
            Step::Abandoned(reason) => {
                let changes: Vec<Change> = environment.undo.clone();
                let back = Happened::Revised {
                    id: id.clone(),
                    revision: revision + 1,
                    changes,
                    reason: Text::stored(format!("{replica} was not well with revision {revision}")),
                    rolled_back_to: Some(revision - 1),
                    staged: false,
                };
                vec![reported(Step::Abandoned(reason)), back]
            }
        }
    }
}
