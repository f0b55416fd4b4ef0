use cairn_kernel::Aggregate;

use super::{REASON_CHARS_MAX, Rejection, Standing, Text, UserName};

/// A person, as far as the log knows them: whether they are let in. Who they are is kept beside the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    standing: Standing,
    /// Whether it is on record that nothing is known of the person any more.
    is_erased: bool,
}

/// What may be asked of a user.
#[derive(Clone, Debug)]
pub struct Command {
    pub user: UserName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Create,
    /// Says that some of what is known about the person is to be another.
    Describe {
        fields: Vec<String>,
    },
    Disable {
        reason: Text<REASON_CHARS_MAX>,
    },
    Enable,
    Delete,
    /// Says that nothing is known of the person any more.
    Erase {
        reason: Text<REASON_CHARS_MAX>,
    },
}

/// What happened to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub user: UserName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Created,
    Described { fields: Vec<String> },
    Disabled { reason: Text<REASON_CHARS_MAX> },
    Enabled,
    Deleted,
    Erased { reason: Text<REASON_CHARS_MAX> },
}

impl User {
    /// Whether they are let in.
    pub fn standing(&self) -> Standing {
        self.standing
    }
}

impl Aggregate for User {
    const CATEGORY: &'static str = "auth.user";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { user, act }: Command) -> Result<Vec<Event>, Rejection> {
        let change = match (act, self.standing) {
            (Act::Create, Standing::Absent) => Change::Created,
            // Ids are made here, so whoever finds one taken is repeating.
            (Act::Create, Standing::Active | Standing::Disabled) => return Ok(vec![]),
            (_, Standing::Absent) => return Err(Rejection::UserNotFound(user)),
            (Act::Delete, Standing::Deleted) => return Ok(vec![]),
            (Act::Erase { .. }, Standing::Deleted) if self.is_erased => return Ok(vec![]),
            (Act::Erase { reason }, Standing::Deleted) => Change::Erased { reason },
            (Act::Erase { .. }, _) => return Err(Rejection::UserNotDeleted(user)),
            (_, Standing::Deleted) => return Err(Rejection::UserDeleted(user)),
            (Act::Disable { .. }, Standing::Disabled) | (Act::Enable, Standing::Active) => return Ok(vec![]),
            (Act::Describe { fields }, _) if fields.is_empty() => return Ok(vec![]),
            (Act::Describe { fields }, _) => Change::Described { fields },
            (Act::Disable { reason }, Standing::Active) => Change::Disabled { reason },
            (Act::Enable, Standing::Disabled) => Change::Enabled,
            (Act::Delete, _) => Change::Deleted,
        };
        Ok(vec![Event { user, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created | Change::Enabled => self.standing = Standing::Active,
            Change::Disabled { .. } => self.standing = Standing::Disabled,
            Change::Deleted => self.standing = Standing::Deleted,
            Change::Erased { .. } => self.is_erased = true,
            Change::Described { .. } => {}
        }
    }
}

#[cfg(test)]
mod spec;
