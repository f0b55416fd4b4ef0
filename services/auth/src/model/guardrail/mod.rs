use std::collections::BTreeMap;

use cairn_kernel::Aggregate;

use super::{GuardrailName, PROSE_CHARS_MAX, Rejection, Text};

/// Something that an organization forbids, whatever roles give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guardrail {
    stage: Stage,
    definition: Definition,
}

/// What a guardrail is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    pub description: Text<PROSE_CHARS_MAX>,
    pub source: Source,
}

/// What it forbids. Whether that could be a guardrail is decided before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The policy. It alone counts.
    pub policy: String,
    /// The template that it was made of; empty: it was written.
    pub template: String,
    pub parameters: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Absent,
    Active,
    /// For ever.
    Deleted,
}

/// What may be asked of a guardrail.
#[derive(Clone, Debug)]
pub struct Command {
    pub guardrail: GuardrailName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Create(Definition),
    /// What is absent stays as it is.
    Redefine {
        description: Option<Text<PROSE_CHARS_MAX>>,
        source: Option<Source>,
    },
    Delete,
}

/// What happened to a guardrail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub guardrail: GuardrailName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Created(Definition),
    Redefined(Definition),
    Deleted,
}

impl Aggregate for Guardrail {
    const CATEGORY: &'static str = "auth.guardrail";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { guardrail, act }: Command) -> Result<Vec<Event>, Rejection> {
        let change = match (act, self.stage) {
            (Act::Create(definition), Stage::Absent) => Change::Created(definition),
            (Act::Create(_), _) => return Err(Rejection::GuardrailExists(guardrail)),
            (_, Stage::Absent) => return Err(Rejection::GuardrailNotFound(guardrail)),
            (Act::Delete, Stage::Deleted) => return Ok(vec![]),
            (Act::Redefine { .. }, Stage::Deleted) => return Err(Rejection::GuardrailDeleted(guardrail)),
            (Act::Delete, Stage::Active) => Change::Deleted,
            (Act::Redefine { description, source }, Stage::Active) => {
                let definition = Definition {
                    description: description.unwrap_or_else(|| self.definition.description.clone()),
                    source: source.unwrap_or_else(|| self.definition.source.clone()),
                };
                if definition == self.definition {
                    return Ok(vec![]);
                }
                Change::Redefined(definition)
            }
        };
        Ok(vec![Event { guardrail, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created(definition) | Change::Redefined(definition) => {
                *self = Self { stage: Stage::Active, definition: definition.clone() };
            }
            Change::Deleted => self.stage = Stage::Deleted,
        }
    }
}

#[cfg(test)]
mod spec;
