//! A logged model: what a run made, before anybody registers it.

mod fault;
#[cfg(test)]
mod spec;

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_kernel::Aggregate;

use super::entry::{Pairs, changes};
use super::limits::RESERVED_TAG_KEYS_PER_RUN_MAX;
use super::{LoggedModelName, Origin};

/// Most tags, and most params, of one model.
pub const PAIRS_MAX: usize = 1000;

/// A logged model as its events left it. One without events does not exist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoggedModel {
    name: Option<LoggedModelName>,
    pub display_name: String,
    pub source_run: String,
    pub model_type: String,
    pub artifact_location: String,
    pub state: LoggedModelState,
    pub params: Pairs,
    pub tags: Pairs,
    pub is_deleted: bool,
}

/// How far a model has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LoggedModelState {
    #[default]
    Pending,
    Ready,
    Failed,
}

/// A model about to be written.
#[derive(Clone, Debug)]
pub struct NewLoggedModel {
    pub name: LoggedModelName,
    pub display_name: String,
    /// Id of the run that makes it; empty: none.
    pub source_run: String,
    pub model_type: String,
    pub artifact_location: String,
    pub params: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

/// What may be asked of a logged model.
#[derive(Clone, Debug)]
pub enum Command {
    Create(Arc<NewLoggedModel>),
    /// Says in the append that creates it that it was made elsewhere.
    Import(Origin),
    /// Says that it is written.
    Ready,
    /// Says that writing it failed.
    Fail,
    Tag {
        set: BTreeMap<String, String>,
        delete: Vec<String>,
    },
    LogParams(BTreeMap<String, String>),
    Delete,
}

/// What happened to a logged model.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub model: LoggedModelName,
    pub change: Change,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Created {
        display_name: String,
        source_run: String,
        model_type: String,
        artifact_location: String,
        params: BTreeMap<String, String>,
        tags: BTreeMap<String, String>,
    },
    Imported(Origin),
    Readied,
    Failed,
    TagsSet(BTreeMap<String, String>),
    TagsDeleted(Vec<String>),
    ParamsLogged(BTreeMap<String, String>),
    Deleted,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    #[error("no such logged model in this experiment")]
    NotFound,
    #[error("logged model {0} exists already")]
    Exists(LoggedModelName),
    #[error("logged model {model} is {state} already")]
    Finalized { model: LoggedModelName, state: LoggedModelState },
    #[error("param {key:?} has the value {logged:?} and cannot become {given:?}: a param never changes")]
    ParamImmutable { key: String, logged: String, given: String },
    #[error("a logged model keeps at most {max} {what}")]
    Full { what: &'static str, max: usize },
}

impl Aggregate for LoggedModel {
    const CATEGORY: &'static str = "experiments.logged_model";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Rejection> {
        let changes = match command {
            Command::Create(new) => return self.create(&new),
            Command::Import(origin) => self.active().map(|_| vec![Change::Imported(origin)])?,
            Command::Ready => self.finalize(LoggedModelState::Ready, Change::Readied)?,
            Command::Fail => self.finalize(LoggedModelState::Failed, Change::Failed)?,
            Command::Tag { set, delete } => self.active()?.tag(set, delete)?,
            Command::LogParams(params) => self.active()?.log_params(params)?,
            Command::Delete if self.is_deleted => vec![],
            Command::Delete => vec![Change::Deleted],
        };
        let model = self.name()?;
        Ok(changes.into_iter().map(|change| Event { model: model.clone(), change }).collect())
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created { display_name, source_run, model_type, artifact_location, params, tags } => {
                *self = Self {
                    name: Some(event.model.clone()),
                    display_name: display_name.clone(),
                    source_run: source_run.clone(),
                    model_type: model_type.clone(),
                    artifact_location: artifact_location.clone(),
                    state: LoggedModelState::Pending,
                    params: Arc::new(params.clone()),
                    tags: Arc::new(tags.clone()),
                    is_deleted: false,
                };
            }
            Change::Imported(_) => {}
            Change::Readied => self.state = LoggedModelState::Ready,
            Change::Failed => self.state = LoggedModelState::Failed,
            Change::TagsSet(tags) => Arc::make_mut(&mut self.tags).extend(tags.clone()),
            Change::TagsDeleted(keys) => Arc::make_mut(&mut self.tags).retain(|key, _| !keys.contains(key)),
            Change::ParamsLogged(params) => Arc::make_mut(&mut self.params).extend(params.clone()),
            Change::Deleted => self.is_deleted = true,
        }
    }
}

impl LoggedModel {
    /// Its name, if it exists.
    pub fn name(&self) -> Result<&LoggedModelName, Rejection> {
        self.name.as_ref().ok_or(Rejection::NotFound)
    }

    /// Itself, if it exists and is in use. A deleted model cannot be restored, and looks as if it never was.
    pub fn active(&self) -> Result<&Self, Rejection> {
        self.name()?;
        if self.is_deleted { Err(Rejection::NotFound) } else { Ok(self) }
    }

    fn create(&self, new: &NewLoggedModel) -> Result<Vec<Event>, Rejection> {
        if self.name.is_some() {
            return Err(Rejection::Exists(new.name.clone()));
        }
        has_room("params", new.params.len(), PAIRS_MAX)?;
        has_room("tags", new.tags.len(), PAIRS_MAX + RESERVED_TAG_KEYS_PER_RUN_MAX)?;
        let change = Change::Created {
            display_name: new.display_name.clone(),
            source_run: new.source_run.clone(),
            model_type: new.model_type.clone(),
            artifact_location: new.artifact_location.clone(),
            params: new.params.clone(),
            tags: new.tags.clone(),
        };
        Ok(vec![Event { model: new.name.clone(), change }])
    }

    fn finalize(&self, to: LoggedModelState, change: Change) -> Result<Vec<Change>, Rejection> {
        match self.active()?.state {
            LoggedModelState::Pending => Ok(vec![change]),
            state if state == to => Ok(vec![]),
            state => Err(Rejection::Finalized { model: self.name()?.clone(), state }),
        }
    }

    fn tag(&self, set: BTreeMap<String, String>, delete: Vec<String>) -> Result<Vec<Change>, Rejection> {
        let (set, deleted) = changes(&self.tags, set, delete);
        let new = set.keys().filter(|key| !self.tags.contains_key(*key)).count();
        has_room("tags", self.tags.len() - deleted.len() + new, PAIRS_MAX + RESERVED_TAG_KEYS_PER_RUN_MAX)?;
        let set = (!set.is_empty()).then_some(Change::TagsSet(set));
        let deleted = (!deleted.is_empty()).then_some(Change::TagsDeleted(deleted));
        Ok(set.into_iter().chain(deleted).collect())
    }

    fn log_params(&self, params: BTreeMap<String, String>) -> Result<Vec<Change>, Rejection> {
        let mut new = BTreeMap::new();
        for (key, given) in params {
            match self.params.get(&key) {
                Some(logged) if *logged == given => {}
                Some(logged) => return Err(Rejection::ParamImmutable { logged: logged.clone(), key, given }),
                None => drop(new.insert(key, given)),
            }
        }
        has_room("params", self.params.len() + new.len(), PAIRS_MAX)?;
        Ok(if new.is_empty() { vec![] } else { vec![Change::ParamsLogged(new)] })
    }
}

fn has_room(what: &'static str, count: usize, max: usize) -> Result<(), Rejection> {
    if count > max { Err(Rejection::Full { what, max }) } else { Ok(()) }
}

impl LoggedModelState {
    /// As our contract spells it, e.g. `READY`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Ready => "READY",
            Self::Failed => "FAILED",
        }
    }

    /// Reads what [`LoggedModelState::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Ready, Self::Failed].into_iter().find(|state| state.as_str() == text)
    }
}

impl std::fmt::Display for LoggedModelState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
