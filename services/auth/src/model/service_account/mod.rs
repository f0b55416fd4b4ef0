use cairn_kernel::Aggregate;

use super::{
    OrganizationName, PROSE_CHARS_MAX, REASON_CHARS_MAX, Rejection, ServiceAccountName, Standing, TITLE_CHARS_MAX, Text,
};

/// A program with an identity of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAccount {
    standing: Standing,
    title: Text<TITLE_CHARS_MAX>,
    description: Text<PROSE_CHARS_MAX>,
}

/// What may be asked of a service account.
#[derive(Clone, Debug)]
pub struct Command {
    pub service_account: ServiceAccountName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Create {
        title: Text<TITLE_CHARS_MAX>,
        description: Text<PROSE_CHARS_MAX>,
        /// What it belongs to, for ever; `None`: nothing but the deployment.
        organization: Option<OrganizationName>,
    },
    /// What is absent stays as it is.
    Describe {
        title: Option<Text<TITLE_CHARS_MAX>>,
        description: Option<Text<PROSE_CHARS_MAX>>,
    },
    Disable {
        reason: Text<REASON_CHARS_MAX>,
    },
    Enable,
    Delete,
}

/// What happened to a service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub service_account: ServiceAccountName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Created { title: Text<TITLE_CHARS_MAX>, description: Text<PROSE_CHARS_MAX>, organization: Option<OrganizationName> },
    Described { title: Text<TITLE_CHARS_MAX>, description: Text<PROSE_CHARS_MAX> },
    Disabled { reason: Text<REASON_CHARS_MAX> },
    Enabled,
    Deleted,
}

impl ServiceAccount {
    /// Whether it is let in.
    pub fn standing(&self) -> Standing {
        self.standing
    }
}

impl Aggregate for ServiceAccount {
    const CATEGORY: &'static str = "auth.service_account";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { service_account, act }: Command) -> Result<Vec<Event>, Rejection> {
        let change = match (act, self.standing) {
            (Act::Create { title, description, organization }, Standing::Absent) => {
                Change::Created { title, description, organization }
            }
            (Act::Create { .. }, _) => return Err(Rejection::ServiceAccountExists(service_account)),
            (_, Standing::Absent) => return Err(Rejection::ServiceAccountNotFound(service_account)),
            (Act::Delete, Standing::Deleted) => return Ok(vec![]),
            (_, Standing::Deleted) => return Err(Rejection::ServiceAccountDeleted(service_account)),
            (Act::Disable { .. }, Standing::Disabled) | (Act::Enable, Standing::Active) => return Ok(vec![]),
            (Act::Disable { reason }, Standing::Active) => Change::Disabled { reason },
            (Act::Enable, Standing::Disabled) => Change::Enabled,
            (Act::Delete, _) => Change::Deleted,
            (Act::Describe { title, description }, _) => {
                let title = title.unwrap_or_else(|| self.title.clone());
                let description = description.unwrap_or_else(|| self.description.clone());
                if title == self.title && description == self.description {
                    return Ok(vec![]);
                }
                Change::Described { title, description }
            }
        };
        Ok(vec![Event { service_account, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created { title, description, .. } => {
                *self = Self { standing: Standing::Active, title: title.clone(), description: description.clone() };
            }
            Change::Described { title, description } => {
                (self.title, self.description) = (title.clone(), description.clone());
            }
            Change::Disabled { .. } => self.standing = Standing::Disabled,
            Change::Enabled => self.standing = Standing::Active,
            Change::Deleted => self.standing = Standing::Deleted,
        }
    }
}

#[cfg(test)]
mod spec;
