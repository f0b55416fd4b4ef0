//! Everything that is configured in one project: environments, their entries, and the schemas of keys. One aggregate,
//! because a schema counts in every environment, and an environment is there for as long as another inherits from it.

mod environment;
mod revise;
mod rollout;

use std::collections::BTreeMap;

use cairn_kernel::{Aggregate, Name};

use super::schema::{Judge, SCHEMA_BYTES_MAX};
use super::{EnvironmentId, EnvironmentName, Json, Key, Rejection, Text};

pub use environment::{CHANGES_MAX, Change, Environment};
pub use rollout::{Stage, Step};

/// Environments of one project, deleted ones counted.
const ENVIRONMENTS_MAX: usize = 100;
/// Environments that inherit from each other in a row.
const DEPTH_MAX: usize = 8;
/// Schemas of one project.
const SCHEMAS_MAX: usize = 1_000;

/// What is configured in one place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    environments: BTreeMap<EnvironmentId, Environment>,
    schemas: BTreeMap<Key, Json>,
}

/// What may be asked.
#[derive(Clone, Debug)]
pub struct Command {
    /// `projects/{project}`
    pub scope: Name,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    CreateEnvironment {
        id: EnvironmentId,
        inherits: Option<EnvironmentId>,
        description: Text,
    },
    DeleteEnvironment {
        id: EnvironmentId,
        /// The revision that the caller has seen.
        expected: Option<u32>,
    },
    Revise {
        id: EnvironmentId,
        expected: Option<u32>,
        changes: Vec<Change>,
        reason: Text,
        rolled_back_to: Option<u32>,
        /// One process tries it first.
        staged: bool,
    },
    /// A process says how it fares with a revision.
    Report {
        id: EnvironmentId,
        revision: u32,
        replica: String,
        step: Step,
    },
    DeclareSchema {
        key: Key,
        schema: Json,
    },
    WithdrawSchema(Key),
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub scope: Name,
    pub change: Happened,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    EnvironmentCreated {
        id: EnvironmentId,
        inherits: Option<EnvironmentId>,
        description: Text,
    },
    EnvironmentDeleted(EnvironmentId),
    Revised {
        id: EnvironmentId,
        revision: u32,
        changes: Vec<Change>,
        reason: Text,
        rolled_back_to: Option<u32>,
        staged: bool,
    },
    Reported {
        id: EnvironmentId,
        revision: u32,
        replica: String,
        step: Step,
    },
    SchemaDeclared {
        key: Key,
        schema: Json,
    },
    SchemaWithdrawn(Key),
}

impl Scope {
    /// What the settings of the suite itself are, where they were ever changed.
    pub fn platform(&self) -> Option<&Environment> {
        self.environment(&EnvironmentName::platform().id())
    }

    /// An environment that is there.
    pub fn environment(&self, id: &EnvironmentId) -> Option<&Environment> {
        self.environments.get(id).filter(|environment| environment.is_there)
    }

    fn living(&self, scope: &Name, id: &EnvironmentId) -> Result<&Environment, Rejection> {
        let not_found = || Rejection::EnvironmentNotFound(EnvironmentName::of(scope, id));
        self.environment(id).ok_or_else(not_found)
    }

    /// How many environments inherit from each other, from this one up.
    fn depth(&self, id: &EnvironmentId) -> usize {
        let up = |id: &EnvironmentId| self.environments.get(id)?.inherits.clone();
        std::iter::successors(Some(id.clone()), |id| up(id)).take(DEPTH_MAX + 1).count()
    }

    fn create(
        &self,
        scope: &Name,
        id: EnvironmentId,
        inherits: Option<EnvironmentId>,
        description: Text,
    ) -> Result<Happened, Rejection> {
        if self.environment(&id).is_some() {
            return Err(Rejection::EnvironmentExists(EnvironmentName::of(scope, &id)));
        }
        if !self.environments.contains_key(&id) && self.environments.len() == ENVIRONMENTS_MAX {
            return Err(Rejection::TooLarge { what: "environments of a project", limit: ENVIRONMENTS_MAX });
        }
        // What is inherited from is there before, so that nothing inherits from itself.
        if let Some(parent) = &inherits {
            self.living(scope, parent)?;
            if self.depth(parent) >= DEPTH_MAX {
                return Err(Rejection::TooLarge { what: "environments that inherit in a row", limit: DEPTH_MAX });
            }
        }
        Ok(Happened::EnvironmentCreated { id, inherits, description })
    }

    fn delete(&self, scope: &Name, id: EnvironmentId, expected: Option<u32>) -> Result<Option<Happened>, Rejection> {
        match self.environments.get(&id) {
            None => return Err(Rejection::EnvironmentNotFound(EnvironmentName::of(scope, &id))),
            Some(environment) if !environment.is_there => return Ok(None),
            Some(environment) => environment.check(scope, &id, expected)?,
        }
        let heirs = self.environments.iter().find(|(_, heir)| heir.is_there && heir.inherits.as_ref() == Some(&id));
        if let Some((heir, _)) = heirs {
            let (environment, by) = (EnvironmentName::of(scope, &id), EnvironmentName::of(scope, heir));
            return Err(Rejection::EnvironmentInUse { environment, by });
        }
        Ok(Some(Happened::EnvironmentDeleted(id)))
    }

    fn declare(&self, scope: &Name, key: Key, schema: Json) -> Result<Option<Happened>, Rejection> {
        if self.schemas.get(&key) == Some(&schema) {
            return Ok(None);
        }
        if schema.text().len() > SCHEMA_BYTES_MAX {
            return Err(Rejection::TooLarge { what: "bytes of a schema", limit: SCHEMA_BYTES_MAX });
        }
        if !self.schemas.contains_key(&key) && self.schemas.len() == SCHEMAS_MAX {
            return Err(Rejection::TooLarge { what: "schemas of a project", limit: SCHEMAS_MAX });
        }
        let judge = Judge::read(&schema);
        let judge = judge.map_err(|problem| Rejection::SchemaInvalid { key: key.clone(), problem })?;
        for (id, environment) in self.environments.iter().filter(|(_, environment)| environment.is_there) {
            if let Some(problem) = environment.entries.get(&key).and_then(|value| judge.problem(value)) {
                return Err(Rejection::SchemaUnmet { key, environment: EnvironmentName::of(scope, id), problem });
            }
        }
        Ok(Some(Happened::SchemaDeclared { key, schema }))
    }
}

impl Aggregate for Scope {
    const CATEGORY: &'static str = "config.scope";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { scope, act }: Command) -> Result<Vec<Event>, Rejection> {
        if let Act::Report { id, revision, replica, step } = act {
            let reported = self.report(&id, revision, replica, step);
            return Ok(reported.into_iter().map(|change| Event { scope: scope.clone(), change }).collect());
        }
        let change = match act {
            Act::CreateEnvironment { id, inherits, description } => {
                Some(self.create(&scope, id, inherits, description)?)
            }
            Act::DeleteEnvironment { id, expected } => self.delete(&scope, id, expected)?,
            Act::Report { .. } => None,
            Act::Revise { id, expected, changes, reason, rolled_back_to, staged } => {
                // That of the platform is there without being made.
                let nothing = Environment::default();
                let environment =
                    if scope.is_root() { self.environment(&id).unwrap_or(&nothing) } else { self.living(&scope, &id)? };
                environment.check(&scope, &id, expected)?;
                let changes = environment.revise(changes, &self.schemas)?;
                let revision = environment.revision + 1;
                let is_changed = !changes.is_empty();
                is_changed.then_some(Happened::Revised { id, revision, changes, reason, rolled_back_to, staged })
            }
            Act::DeclareSchema { key, schema } => self.declare(&scope, key, schema)?,
            Act::WithdrawSchema(key) => self.schemas.contains_key(&key).then_some(Happened::SchemaWithdrawn(key)),
        };
        Ok(change.into_iter().map(|change| Event { scope: scope.clone(), change }).collect())
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Happened::EnvironmentCreated { id, inherits, .. } => {
                let environment = self.environments.entry(id.clone()).or_default();
                environment.is_there = true;
                environment.inherits.clone_from(inherits);
            }
            Happened::EnvironmentDeleted(id) => {
                if let Some(environment) = self.environments.get_mut(id) {
                    environment.is_there = false;
                    environment.entries.clear();
                }
            }
            Happened::Revised { id, revision, changes, staged, .. } => {
                let environment = self.environments.entry(id.clone()).or_default();
                environment.is_there |= event.scope.is_root();
                environment.revision = *revision;
                let undo = changes.iter().map(|change| environment.before(change)).collect();
                environment.undo = if environment.is_abandoned { vec![] } else { undo };
                environment.is_abandoned = false;
                environment.stage = staged.then(Stage::default);
                changes.iter().for_each(|change| environment.apply(change));
            }
            Happened::Reported { id, revision, replica, step } => {
                if let Some(environment) = self.environments.get_mut(id) {
                    environment.note(*revision, replica, step);
                }
            }
            Happened::SchemaDeclared { key, schema } => {
                self.schemas.insert(key.clone(), schema.clone());
            }
            Happened::SchemaWithdrawn(key) => {
                self.schemas.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod spec;
