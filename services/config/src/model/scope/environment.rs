use std::collections::BTreeMap;

use cairn_kernel::Name;

use super::Stage;
use crate::model::{EnvironmentId, EnvironmentName, Json, Key, Rejection};

/// Most changes of one revision.
pub const CHANGES_MAX: usize = 1_000;

/// One environment: what it says itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Environment {
    pub(super) is_there: bool,
    pub(super) inherits: Option<EnvironmentId>,
    pub(super) revision: u32,
    pub(super) entries: BTreeMap<Key, Json>,
    /// What takes the last revision back. Nothing, if that took one back itself: two processes that are not well would
    /// hand a bad value to each other for ever.
    pub(super) undo: Vec<Change>,
    /// The next revision takes this one back.
    pub(super) is_abandoned: bool,
    /// Of a last revision that one process tries first: how far that is.
    pub(super) stage: Option<Stage>,
}

/// What a revision does to one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub key: Key,
    /// `None`: the entry is removed.
    pub value: Option<Json>,
}

impl Environment {
    /// The number of the last revision.
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// Refuses if the caller has seen another revision.
    pub(super) fn check(&self, scope: &Name, id: &EnvironmentId, expected: Option<u32>) -> Result<(), Rejection> {
        if expected.is_none_or(|expected| expected == self.revision) {
            return Ok(());
        }
        Err(Rejection::EnvironmentStale { environment: EnvironmentName::of(scope, id), revision: self.revision })
    }

    /// What a key was before a change of it.
    pub(super) fn before(&self, change: &Change) -> Change {
        Change { key: change.key.clone(), value: self.entries.get(&change.key).cloned() }
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match &change.value {
            Some(value) => drop(self.entries.insert(change.key.clone(), value.clone())),
            None => drop(self.entries.remove(&change.key)),
        }
    }
}
