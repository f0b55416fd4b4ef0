//! A run: one execution of code, with everything it logged.

mod amend;
mod create;
mod fault;
mod inputs;
mod log;
#[cfg(test)]
mod spec;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_kernel::{Aggregate, Time};

pub use self::create::NewRun;
pub use self::inputs::Dataset;
pub use self::log::{Batch, BatchId, TagChange};
use super::entry::{Dropped, Pairs, tag};
use super::{Points, RunName};

/// A run as its events left it. One without events does not exist.
///
/// Keeps what decisions rest on: the names of its metrics and not their points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    name: Option<RunName>,
    pub display_name: String,
    pub state: RunState,
    pub user: String,
    pub start_time: Time,
    pub end_time: Option<Time>,
    pub is_deleted: bool,
    pub experiment_revision: u32,
    pub artifact_location: String,
    pub params: Pairs,
    pub tags: Pairs,
    pub(crate) metrics: Arc<BTreeSet<String>>,
    /// Names and digests.
    pub(crate) datasets: Arc<BTreeSet<(String, String)>>,
    pub(crate) input_models: Arc<BTreeSet<String>>,
    pub(crate) output_models: Arc<BTreeSet<String>>,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RunState {
    #[default]
    Running,
    Scheduled,
    Finished,
    Failed,
    Killed,
}

/// What is asked of which run.
#[derive(Clone, Debug)]
pub struct Command {
    /// With the experiment: a run's stream is found without it, so a wrong one would go unnoticed.
    pub run: RunName,
    pub action: Action,
}

/// What may be asked of a run.
#[derive(Clone, Debug)]
pub enum Action {
    Create(Arc<NewRun>),
    /// Says in the append that creates it that it was made elsewhere.
    Import {
        source: String,
    },
    Rename {
        display_name: String,
    },
    /// Ends it, once: another end than the first is refused.
    Finish {
        state: RunState,
        end_time: Time,
    },
    /// Changes what is given, whatever was before: the rule of MLflow, where a run may end twice and go on after.
    Amend {
        state: Option<RunState>,
        end_time: Option<Time>,
        display_name: Option<String>,
    },
    Log(Arc<Batch>),
    Tag(Arc<TagChange>),
    LogInputs {
        datasets: Vec<Dataset>,
        models: Vec<String>,
    },
    /// Ids of models and the steps they were made at.
    LogOutputs {
        models: Vec<(String, i64)>,
    },
    Delete,
    Restore,
}

/// What happened to a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub run: RunName,
    pub change: Change,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Created {
        display_name: String,
        state: RunState,
        user: String,
        start_time: Time,
        /// The id of the run it is nested in.
        parent: Option<String>,
        experiment_revision: u32,
        artifact_location: String,
    },
    Imported {
        source: String,
    },
    Renamed {
        from: String,
        to: String,
    },
    Finished {
        state: RunState,
        end_time: Option<Time>,
    },
    Resumed {
        state: RunState,
        end_time: Option<Time>,
    },
    ParamsLogged(BTreeMap<String, String>),
    TagsSet(BTreeMap<String, String>),
    TagsDeleted(Vec<String>),
    MetricsLogged(Arc<Points>),
    InputsLogged {
        datasets: Vec<Dataset>,
        models: Vec<String>,
    },
    OutputsLogged(Vec<(String, i64)>),
    EntriesDropped(Vec<Dropped>),
    BatchLogged {
        id: BatchId,
        metric_count: u32,
        param_count: u32,
        tag_count: u32,
        dropped: Vec<Dropped>,
    },
    Deleted,
    Restored,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    #[error("no such run in this experiment")]
    NotFound,
    #[error("run {0} exists already")]
    Exists(RunName),
    #[error("run {0} is deleted: restore it first")]
    Deleted(RunName),
    #[error("run {run} has {state} already: an end is final")]
    AlreadyTerminal { run: RunName, state: RunState, end_time: Option<Time> },
    #[error("param {key:?} has the value {logged:?} and cannot become {given:?}: a param never changes")]
    ParamImmutable { key: String, logged: String, given: String },
    #[error("a run cannot be nested in {0:?}: it is not another run of this project")]
    ParentInvalid(String),
    #[error("a run keeps at most {max} {what}")]
    Full { what: &'static str, max: usize },
}

impl Aggregate for Run {
    const CATEGORY: &'static str = "experiments.run";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Rejection> {
        let Command { run, action } = command;
        if self.name.as_ref().is_some_and(|name| *name != run) {
            return Err(Rejection::NotFound);
        }
        let changes = match action {
            Action::Create(new) => return self.create(run, &new),
            Action::Import { source } => self.active().map(|_| vec![Change::Imported { source }])?,
            Action::Rename { display_name } => self.active()?.renamed(display_name),
            Action::Finish { state, end_time } => self.active()?.finish(state, end_time)?,
            Action::Amend { state, end_time, display_name } => self.active()?.amend(state, end_time, display_name),
            Action::Log(batch) if batch.was_accepted => self.found()?.log(&batch)?,
            Action::Log(batch) => self.active()?.log(&batch)?,
            Action::Tag(change) => self.active()?.tag(&change),
            Action::LogInputs { datasets, models } => self.active()?.log_inputs(datasets, models)?,
            Action::LogOutputs { models } => self.active()?.log_outputs(models)?,
            Action::Delete if self.found()?.is_deleted => vec![],
            Action::Delete => vec![Change::Deleted],
            Action::Restore if self.found()?.is_deleted => vec![Change::Restored],
            Action::Restore => vec![],
        };
        Ok(changes.into_iter().map(|change| Event { run: run.clone(), change }).collect())
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created {
                display_name,
                state,
                user,
                start_time,
                parent,
                experiment_revision,
                artifact_location,
            } => {
                *self = Self {
                    name: Some(event.run.clone()),
                    state: *state,
                    user: user.clone(),
                    start_time: *start_time,
                    experiment_revision: *experiment_revision,
                    artifact_location: artifact_location.clone(),
                    ..Self::default()
                };
                self.rename_to(display_name);
                if let Some(parent) = parent {
                    Arc::make_mut(&mut self.tags).insert(tag::PARENT_RUN.to_owned(), parent.clone());
                }
            }
            Change::Imported { .. } => {}
            Change::Renamed { to, .. } => self.rename_to(to),
            Change::Finished { state, end_time } | Change::Resumed { state, end_time } => {
                self.state = *state;
                self.end_time = *end_time;
            }
            Change::ParamsLogged(params) => Arc::make_mut(&mut self.params).extend(params.clone()),
            Change::TagsSet(tags) => Arc::make_mut(&mut self.tags).extend(tags.clone()),
            Change::TagsDeleted(keys) => Arc::make_mut(&mut self.tags).retain(|key, _| !keys.contains(key)),
            // Copies the names only when one of them is new.
            Change::MetricsLogged(points) => {
                for key in points.keys.iter().filter(|key| !self.metrics.contains(*key)).cloned().collect::<Vec<_>>() {
                    Arc::make_mut(&mut self.metrics).insert(key);
                }
            }
            Change::InputsLogged { datasets, models } => {
                let names = datasets.iter().map(Dataset::identity);
                Arc::make_mut(&mut self.datasets).extend(names);
                Arc::make_mut(&mut self.input_models).extend(models.iter().cloned());
            }
            Change::OutputsLogged(models) => {
                Arc::make_mut(&mut self.output_models).extend(models.iter().map(|(model, _)| model.clone()));
            }
            Change::EntriesDropped(_) | Change::BatchLogged { .. } => {}
            Change::Deleted => self.is_deleted = true,
            Change::Restored => self.is_deleted = false,
        }
    }
}

impl Run {
    /// Its name, if it exists.
    pub fn name(&self) -> Result<&RunName, Rejection> {
        self.name.as_ref().ok_or(Rejection::NotFound)
    }

    /// Itself, if it exists and is in use: what every change asks first.
    pub fn active(&self) -> Result<&Self, Rejection> {
        let name = self.name()?;
        if self.is_deleted { Err(Rejection::Deleted(name.clone())) } else { Ok(self) }
    }

    /// The names of its metrics.
    pub fn metric_names(&self) -> &BTreeSet<String> {
        &self.metrics
    }

    fn found(&self) -> Result<&Self, Rejection> {
        self.name()?;
        Ok(self)
    }

    // INVARIANT: the display name and the tag that clients read it from are the same.
    fn rename_to(&mut self, display_name: &str) {
        display_name.clone_into(&mut self.display_name);
        Arc::make_mut(&mut self.tags).insert(tag::RUN_NAME.to_owned(), display_name.to_owned());
    }
}

impl RunState {
    /// Whether it is an end.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }

    /// As MLflow and our contract spell it, e.g. `FINISHED`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    /// Reads what [`RunState::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Running, Self::Scheduled, Self::Finished, Self::Failed, Self::Killed]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
