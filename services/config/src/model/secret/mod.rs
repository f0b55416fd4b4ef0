use std::sync::Arc;

use cairn_kernel::Aggregate;

use super::{Rejection, SecretName, Text};

/// Versions of one secret, destroyed ones counted: numbers are never given twice.
pub const VERSIONS_MAX: u32 = 10_000;

/// A secret: a name, and values that replace each other. Of values it knows the numbers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secret {
    is_there: bool,
    description: Option<Text>,
    /// How each version stands, by its number less one. Those of a deleted secret stay, destroyed.
    versions: Vec<State>,
}

/// How a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Enabled,
    Disabled,
    Destroyed,
}

/// What may be asked of a secret.
#[derive(Clone, Debug)]
pub struct Command {
    pub secret: SecretName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    /// With a first version, if there is one. `number` is the one it was sealed for.
    Create {
        description: Text,
        first: Option<(u32, Value)>,
    },
    Describe {
        description: Text,
    },
    /// The value was sealed for this number, so it can be no other.
    Add {
        number: u32,
        value: Value,
        /// What the caller saw as the last number.
        after: Option<u32>,
    },
    Disable(u32),
    Enable(u32),
    Destroy(u32, Text),
    Delete,
}

/// A value, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(pub Arc<[u8]>);

/// What happened to a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub secret: SecretName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Created(Text),
    Described(Text),
    Added(u32, Value),
    Disabled(u32),
    Enabled(u32),
    Destroyed(u32, Text),
    Deleted,
}

impl Secret {
    /// The number that the next version gets.
    pub fn next(&self) -> u32 {
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Whether it was created, and not deleted since.
    pub fn is_there(&self) -> bool {
        self.is_there
    }

    /// How a version stands; `None`: there is none of this number.
    pub fn state(&self, number: u32) -> Option<State> {
        self.versions.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
    }

    /// The versions whose keys are still there.
    pub fn kept(&self) -> impl Iterator<Item = u32> {
        (1..).zip(&self.versions).filter(|(_, state)| **state != State::Destroyed).map(|(number, _)| number)
    }

    /// The versions whose keys must not be there.
    pub fn destroyed(&self) -> impl Iterator<Item = u32> {
        (1..).zip(&self.versions).filter(|(_, state)| **state == State::Destroyed).map(|(number, _)| number)
    }

    fn add(&self, secret: &SecretName, number: u32, value: Value) -> Result<Change, Rejection> {
        if self.next() > VERSIONS_MAX {
            return Err(Rejection::SecretFull { secret: secret.clone(), limit: VERSIONS_MAX });
        }
        if number != self.next() {
            return Err(Rejection::VersionAhead { secret: secret.clone(), last: self.next() - 1 });
        }
        Ok(Change::Added(number, value))
    }

    /// How a version that is not destroyed stands.
    fn living(&self, secret: &SecretName, number: u32) -> Result<State, Rejection> {
        match self.state(number) {
            None => Err(Rejection::VersionNotFound { secret: secret.clone(), version: number }),
            Some(State::Destroyed) => Err(Rejection::VersionDestroyed { secret: secret.clone(), version: number }),
            Some(state) => Ok(state),
        }
    }

    fn set(&mut self, number: u32, state: State) {
        let at = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        if let Some(version) = self.versions.get_mut(at) {
            *version = state;
        }
    }
}

impl Aggregate for Secret {
    const CATEGORY: &'static str = "config.secret";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { secret, act }: Command) -> Result<Vec<Event>, Rejection> {
        let changes = match act {
            Act::Create { .. } if self.is_there => return Err(Rejection::SecretExists(secret)),
            Act::Create { description, first } => {
                let first = first.map(|(number, value)| self.add(&secret, number, value)).transpose()?;
                [Some(Change::Created(description)), first].into_iter().flatten().collect()
            }
            // Deleted is deleted, and never there is as good.
            Act::Delete if !self.is_there && !self.versions.is_empty() => vec![],
            _ if !self.is_there => return Err(Rejection::SecretNotFound(secret)),
            Act::Describe { description } if self.description.as_ref() == Some(&description) => vec![],
            Act::Describe { description } => vec![Change::Described(description)],
            Act::Add { after: Some(after), .. } if after.checked_add(1) != Some(self.next()) => {
                return Err(Rejection::VersionAhead { secret, last: self.next() - 1 });
            }
            Act::Add { number, value, .. } => vec![self.add(&secret, number, value)?],
            Act::Disable(number) => match self.living(&secret, number)? {
                State::Disabled => vec![],
                _ => vec![Change::Disabled(number)],
            },
            Act::Enable(number) => match self.living(&secret, number)? {
                State::Enabled => vec![],
                _ => vec![Change::Enabled(number)],
            },
            Act::Destroy(number, reason) => match self.state(number) {
                None => return Err(Rejection::VersionNotFound { secret, version: number }),
                Some(State::Destroyed) => vec![],
                Some(_) => vec![Change::Destroyed(number, reason)],
            },
            Act::Delete => vec![Change::Deleted],
        };
        Ok(changes.into_iter().map(|change| Event { secret: secret.clone(), change }).collect())
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created(description) => {
                self.is_there = true;
                self.description = Some(description.clone());
            }
            Change::Described(description) => self.description = Some(description.clone()),
            Change::Added(..) => self.versions.push(State::Enabled),
            Change::Disabled(number) => self.set(*number, State::Disabled),
            Change::Enabled(number) => self.set(*number, State::Enabled),
            Change::Destroyed(number, _) => self.set(*number, State::Destroyed),
            Change::Deleted => {
                self.is_there = false;
                self.versions.fill(State::Destroyed);
            }
        }
    }
}

#[cfg(test)]
mod spec;
