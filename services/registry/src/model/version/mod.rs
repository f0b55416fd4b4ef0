//! A version of a model: what it is, which never changes, and what people say of it, which does.

mod artifacts;
mod facts;
#[cfg(test)]
mod spec;

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_kernel::Aggregate;

use super::entry::{ENTRIES_MAX, Pairs, changes, count_after};
use super::{Origin, VersionName, registered};

pub use artifacts::{Artifact, Manifest, SignatureCheck};
pub use facts::{Facts, ReferenceStatistics, Signature, Tensor};

/// A version as its events left it. One without events does not exist. Whether it was deleted, its model knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Version {
    name: Option<VersionName>,
    pub description: Arc<str>,
    pub tags: Pairs,
    pub facts: Arc<Facts>,
}

/// What may be asked of a version.
#[derive(Clone, Debug)]
pub enum Command {
    Create {
        name: VersionName,
        description: String,
        tags: BTreeMap<String, String>,
        facts: Arc<Facts>,
        /// Its files, by path, as far as they are known.
        artifacts: Arc<Vec<Artifact>>,
    },
    /// Says in the append that creates it that it was registered elsewhere.
    Import(Origin),
    Describe(String),
    Tag {
        set: BTreeMap<String, String>,
        delete: Vec<String>,
    },
}

/// What happened to a version.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub version: VersionName,
    pub change: Change,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Created { description: String, tags: BTreeMap<String, String>, facts: Arc<Facts>, artifacts: Arc<Vec<Artifact>> },
    Imported(Origin),
    Described(String),
    TagsSet(BTreeMap<String, String>),
    TagsDeleted(Vec<String>),
}

impl Aggregate for Version {
    const CATEGORY: &'static str = "registry.version";
    type Command = Command;
    type Event = Event;
    type Rejection = registered::Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Self::Rejection> {
        let changes = match command {
            Command::Create { name, description, tags, facts, artifacts } => {
                let change = Change::Created { description, tags, facts, artifacts };
                return Ok(vec![Event { version: name, change }]);
            }
            Command::Import(origin) => vec![Change::Imported(origin)],
            Command::Describe(description) if *description == *self.description => vec![],
            Command::Describe(description) => vec![Change::Described(description)],
            Command::Tag { set, delete } => self.tag(set, delete)?,
        };
        let version = self.name.as_ref().ok_or(registered::Rejection::NotFound)?;
        Ok(changes.into_iter().map(|change| Event { version: version.clone(), change }).collect())
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            // Nothing is decided by the list of files: whoever wants it reads it elsewhere.
            Change::Created { description, tags, facts, artifacts: _ } => {
                *self = Self {
                    name: Some(event.version.clone()),
                    description: description.as_str().into(),
                    tags: Arc::new(tags.clone()),
                    facts: Arc::clone(facts),
                };
            }
            Change::Imported(_) => {}
            Change::Described(description) => self.description = description.as_str().into(),
            Change::TagsSet(tags) => Arc::make_mut(&mut self.tags).extend(tags.clone()),
            Change::TagsDeleted(keys) => Arc::make_mut(&mut self.tags).retain(|key, _| !keys.contains(key)),
        }
    }
}

impl Version {
    fn tag(&self, set: BTreeMap<String, String>, delete: Vec<String>) -> Result<Vec<Change>, registered::Rejection> {
        let (tags, keys) = changes(&self.tags, set, delete);
        if count_after(&self.tags, &tags, &keys) > ENTRIES_MAX {
            return Err(registered::Rejection::Full { what: "tags", limit: ENTRIES_MAX });
        }
        let mut changes = vec![];
        if !tags.is_empty() {
            changes.push(Change::TagsSet(tags));
        }
        if !keys.is_empty() {
            changes.push(Change::TagsDeleted(keys));
        }
        Ok(changes)
    }
}
