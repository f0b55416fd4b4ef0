use std::collections::BTreeSet;

use cairn_kernel::Aggregate;

use super::{PROSE_CHARS_MAX, Rejection, RoleName, Text};

/// A role that an organization makes for itself: words of the contract under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    stage: Stage,
    description: Text<PROSE_CHARS_MAX>,
    permissions: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Absent,
    Active,
    /// For ever.
    Deleted,
}

/// What may be asked of a role. Whether the caller may give what it holds, and whether anybody holds it, is decided
/// before.
#[derive(Clone, Debug)]
pub struct Command {
    pub role: RoleName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Create {
        description: Text<PROSE_CHARS_MAX>,
        permissions: BTreeSet<String>,
    },
    /// What is absent stays as it is.
    Redefine {
        description: Option<Text<PROSE_CHARS_MAX>>,
        permissions: Option<BTreeSet<String>>,
    },
    Delete,
}

/// What happened to a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub role: RoleName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Created { description: Text<PROSE_CHARS_MAX>, permissions: BTreeSet<String> },
    Redefined { description: Text<PROSE_CHARS_MAX>, permissions: BTreeSet<String> },
    Deleted,
}

impl Role {
    /// What it holds; `None`: it cannot be given.
    pub fn permissions(&self) -> Option<&BTreeSet<String>> {
        (self.stage == Stage::Active).then_some(&self.permissions)
    }
}

impl Aggregate for Role {
    const CATEGORY: &'static str = "auth.role";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { role, act }: Command) -> Result<Vec<Event>, Rejection> {
        let change = match (act, self.stage) {
            (Act::Create { description, permissions }, Stage::Absent) => Change::Created { description, permissions },
            (Act::Create { .. }, _) => return Err(Rejection::RoleExists(role)),
            (_, Stage::Absent) => return Err(Rejection::RoleNotFound(role)),
            (Act::Delete, Stage::Deleted) => return Ok(vec![]),
            (Act::Redefine { .. }, Stage::Deleted) => return Err(Rejection::RoleDeleted(role)),
            (Act::Delete, Stage::Active) => Change::Deleted,
            (Act::Redefine { description, permissions }, Stage::Active) => {
                let description = description.unwrap_or_else(|| self.description.clone());
                let permissions = permissions.unwrap_or_else(|| self.permissions.clone());
                if description == self.description && permissions == self.permissions {
                    return Ok(vec![]);
                }
                Change::Redefined { description, permissions }
            }
        };
        Ok(vec![Event { role, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created { description, permissions } | Change::Redefined { description, permissions } => {
                let (description, permissions) = (description.clone(), permissions.clone());
                *self = Self { stage: Stage::Active, description, permissions };
            }
            Change::Deleted => self.stage = Stage::Deleted,
        }
    }
}

#[cfg(test)]
mod spec;
