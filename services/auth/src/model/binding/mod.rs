use cairn_kernel::{Aggregate, Name, Time};

use super::{ActivationName, BindingName, Condition, HolderName, REASON_CHARS_MAX, Rejection, RoleName, Text};

/// The role that may do everything.
pub const ADMIN: &str = "roles/admin";

/// A principal holds a role on a resource and everything below it, or is denied something there, until it is withdrawn or
/// ends by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    terms: Option<Terms>,
    is_withdrawn: bool,
}

/// Who holds what, where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub principal: HolderName,
    pub object: Object,
    pub resource: Name,
    /// `None`: it does not end by itself.
    pub expire_time: Option<Time>,
    /// `None`: it always holds.
    pub condition: Option<Condition>,
    pub source: Source,
    /// The emergency that gives it.
    pub activation: Option<ActivationName>,
}

/// What is given or denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A role is given.
    Role(RoleName),
    /// All that a role holds is denied.
    DeniedRole(RoleName),
    /// These permissions are denied.
    Denied(Vec<String>),
}

/// Where a binding comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Somebody gave it.
    #[default]
    Manual,
    /// A directory of the organization says so.
    Idp,
    /// An emergency that was declared.
    BreakGlass,
}

/// What may be asked of a binding. Whether the caller may give the role is decided before, from what they hold.
#[derive(Clone, Debug)]
pub struct Command {
    pub binding: BindingName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Grant { terms: Box<Terms>, reason: Text<REASON_CHARS_MAX>, now: Time },
    Withdraw { reason: Text<REASON_CHARS_MAX> },
}

/// What happened to a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub binding: BindingName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Granted { terms: Terms, reason: Text<REASON_CHARS_MAX> },
    Withdrawn { terms: Terms, reason: Text<REASON_CHARS_MAX> },
}

impl Terms {
    /// Whether whoever holds it administers the deployment, without an end. A group does not count: it may be empty.
    pub fn makes_administrator(&self) -> bool {
        matches!(&self.object, Object::Role(role) if role.as_str() == ADMIN)
            && self.resource.is_root()
            && self.expire_time.is_none()
            && self.condition.is_none()
            && self.principal.group().is_none()
    }
}

impl Object {
    /// The role that it is about.
    pub fn role(&self) -> Option<&RoleName> {
        match self {
            Self::Role(role) | Self::DeniedRole(role) => Some(role),
            Self::Denied(_) => None,
        }
    }

    /// Whether it takes rather than gives.
    pub fn denies(&self) -> bool {
        !matches!(self, Self::Role(_))
    }
}

impl Binding {
    /// Whether it was given and not withdrawn.
    pub fn is_held(&self) -> bool {
        self.terms.is_some() && !self.is_withdrawn
    }

    /// What it says, or said.
    pub fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref()
    }
}

impl Aggregate for Binding {
    const CATEGORY: &'static str = "auth.binding";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { binding, act }: Command) -> Result<Vec<Event>, Rejection> {
        let change = match (act, &self.terms) {
            (Act::Grant { terms, reason, now }, None) => {
                if let Some(end) = terms.expire_time.filter(|end| *end <= now) {
                    let until = Time::from_micros(i64::MAX);
                    return Err(Rejection::ExpiryOutOfRange { field: "expire_time", given: end, after: now, until });
                }
                Change::Granted { terms: *terms, reason }
            }
            // Ids are made here, so whoever finds one taken is repeating.
            (Act::Grant { .. }, Some(_)) => return Ok(vec![]),
            (Act::Withdraw { .. }, None) => return Err(Rejection::BindingNotFound(binding)),
            (Act::Withdraw { .. }, Some(_)) if self.is_withdrawn => return Ok(vec![]),
            (Act::Withdraw { reason }, Some(terms)) => Change::Withdrawn { terms: terms.clone(), reason },
        };
        Ok(vec![Event { binding, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Granted { terms, .. } => self.terms = Some(terms.clone()),
            Change::Withdrawn { .. } => self.is_withdrawn = true,
        }
    }
}

#[cfg(test)]
mod spec;
