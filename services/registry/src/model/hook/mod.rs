//! The hooks of a project: who must agree before something happens to its models, and who is told after it has.
//!
//! All of a project's hooks are one state: whatever is decided about a model depends on it, as it does on the project's
//! policy, so that nothing slips by between the making of a hook and its being in force.

mod definition;
mod fault;
mod name;
#[cfg(test)]
mod spec;
mod trigger;

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_kernel::{Aggregate, Time};

pub use definition::{Action, Definition, FailureMode, Format, Timing, Webhook};
pub use fault::Rejection;
pub use name::{DeliveryName, HookName};
pub use trigger::{MlflowEvent, Trigger};

/// Most hooks of one project. Each is asked, or told, about all that happens.
pub const HOOKS_MAX: usize = 100;

/// The hooks of a project, by id. One without events has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hooks {
    hooks: Arc<BTreeMap<String, Arc<Hook>>>,
}

/// A hook as its events left it.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    pub name: HookName,
    pub display_name: String,
    pub description: String,
    pub definition: Arc<Definition>,
    pub is_enabled: bool,
    pub creator: String,
    pub create_time: Time,
    pub update_time: Time,
}

/// What may be asked of a project's hooks.
#[derive(Clone, Debug)]
pub struct Command {
    pub hook: HookName,
    pub act: Act,
    pub now: Time,
}

/// What is to be done with a hook.
#[derive(Clone, Debug)]
pub enum Act {
    Create {
        display_name: String,
        description: String,
        definition: Arc<Definition>,
        creator: String,
    },
    /// Absent: as it is.
    Change {
        display_name: Option<String>,
        description: Option<String>,
        definition: Option<Arc<Definition>>,
    },
    Enable,
    Disable,
    Delete,
}

/// What happened to a hook.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub hook: HookName,
    pub change: Change,
    /// When; of a deletion, nothing.
    pub time: Time,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Created { display_name: String, description: String, definition: Arc<Definition>, creator: String },
    Described { display_name: String, description: String },
    Redefined(Arc<Definition>),
    Enabled,
    Disabled,
    Deleted,
}

impl Aggregate for Hooks {
    const CATEGORY: &'static str = "registry.hooks";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Rejection> {
        let Command { hook, act, now } = command;
        let changes = match act {
            Act::Create { display_name, description, definition, creator } => {
                if self.find(&hook).is_some() {
                    return Err(Rejection::Exists(hook));
                }
                if self.hooks.len() >= HOOKS_MAX {
                    return Err(Rejection::Full(HOOKS_MAX));
                }
                vec![Change::Created { display_name, description, definition, creator }]
            }
            Act::Change { display_name, description, definition } => {
                self.found(&hook)?.changes(display_name, description, definition)?
            }
            Act::Enable if !self.found(&hook)?.is_enabled => vec![Change::Enabled],
            Act::Disable if self.found(&hook)?.is_enabled => vec![Change::Disabled],
            Act::Enable | Act::Disable => vec![],
            Act::Delete => self.found(&hook).map(|_| vec![Change::Deleted])?,
        };
        let event = |change: Change| {
            let time = if change == Change::Deleted { Time::default() } else { now };
            Event { hook: hook.clone(), change, time }
        };
        Ok(changes.into_iter().map(event).collect())
    }

    fn evolve(&mut self, event: &Event) {
        let hooks = Arc::make_mut(&mut self.hooks);
        let id = event.hook.hook().to_owned();
        match &event.change {
            Change::Created { display_name, description, definition, creator } => {
                let hook = Hook {
                    name: event.hook.clone(),
                    display_name: display_name.clone(),
                    description: description.clone(),
                    definition: Arc::clone(definition),
                    is_enabled: true,
                    creator: creator.clone(),
                    create_time: event.time,
                    update_time: event.time,
                };
                hooks.insert(id, Arc::new(hook));
            }
            Change::Deleted => drop(hooks.remove(&id)),
            change => {
                let Some(hook) = hooks.get_mut(&id).map(Arc::make_mut) else { return };
                hook.update_time = event.time;
                hook.change(change);
            }
        }
    }
}

impl Hooks {
    /// A hook by its name.
    pub fn find(&self, name: &HookName) -> Option<&Arc<Hook>> {
        self.hooks.get(name.hook())
    }

    /// All of them, by id.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Hook>> {
        self.hooks.values()
    }

    /// Those that have their say on something, in the order of their ids.
    pub fn on(&self, timing: Timing, trigger: Trigger, model: &str) -> impl Iterator<Item = &Arc<Hook>> {
        self.all().filter(move |hook| hook.is_enabled && hook.definition.is_about(timing, trigger, model))
    }

    fn found(&self, name: &HookName) -> Result<&Arc<Hook>, Rejection> {
        self.find(name).ok_or_else(|| Rejection::NotFound(name.clone()))
    }
}

impl Hook {
    /// What of it becomes another.
    fn changes(
        &self,
        display_name: Option<String>,
        description: Option<String>,
        definition: Option<Arc<Definition>>,
    ) -> Result<Vec<Change>, Rejection> {
        let mut changes = vec![];
        let display_name = display_name.unwrap_or_else(|| self.display_name.clone());
        let description = description.unwrap_or_else(|| self.description.clone());
        if self.display_name != display_name || self.description != description {
            changes.push(Change::Described { display_name, description });
        }
        if let Some(definition) = definition.filter(|definition| *definition != self.definition) {
            if definition.timing != self.definition.timing {
                return Err(Rejection::Timing(self.name.clone()));
            }
            changes.push(Change::Redefined(definition));
        }
        Ok(changes)
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Described { display_name, description } => {
                self.display_name.clone_from(display_name);
                self.description.clone_from(description);
            }
            Change::Redefined(definition) => self.definition = Arc::clone(definition),
            Change::Enabled => self.is_enabled = true,
            Change::Disabled => self.is_enabled = false,
            Change::Created { .. } | Change::Deleted => {}
        }
    }
}
