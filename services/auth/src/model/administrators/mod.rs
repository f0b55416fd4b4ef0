use std::collections::{BTreeMap, BTreeSet};

use cairn_kernel::Aggregate;

use super::{BindingName, PrincipalName, Rejection};

/// Everybody who administers the deployment without an end. One stream, so that the last one cannot be lost to two
/// changes at once.
///
/// INVARIANT: once somebody counts, somebody always does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Administrators {
    bindings: BTreeMap<BindingName, PrincipalName>,
    suspended: BTreeSet<PrincipalName>,
}

/// What may be asked. Always as part of a change to a binding or a principal.
#[derive(Clone, Debug)]
pub enum Command {
    /// A binding makes a principal an administrator.
    Add { principal: PrincipalName, binding: BindingName },
    /// That binding is to go.
    Remove { binding: BindingName },
    /// A principal is to be disabled or deleted.
    Suspend { principal: PrincipalName },
    /// A principal is enabled again.
    Resume { principal: PrincipalName },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Added { principal: PrincipalName, binding: BindingName },
    Removed { principal: PrincipalName, binding: BindingName },
    Suspended { principal: PrincipalName },
    Resumed { principal: PrincipalName },
}

impl Administrators {
    /// Id of the one stream there is.
    pub const STREAM_ID: &'static str = "all";

    /// Those who count.
    pub fn active(&self) -> BTreeSet<&PrincipalName> {
        self.bindings.values().filter(|principal| !self.suspended.contains(*principal)).collect()
    }
}

impl Aggregate for Administrators {
    const CATEGORY: &'static str = "auth.administrators";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Rejection> {
        let event = match command {
            Command::Add { binding, .. } if self.bindings.contains_key(&binding) => return Ok(vec![]),
            Command::Add { principal, binding } => Event::Added { principal, binding },
            Command::Remove { binding } => match self.bindings.get(&binding) {
                None => return Ok(vec![]),
                Some(principal) => Event::Removed { principal: principal.clone(), binding },
            },
            Command::Suspend { principal } => {
                let counts = self.bindings.values().any(|holder| *holder == principal);
                if !counts || self.suspended.contains(&principal) {
                    return Ok(vec![]);
                }
                Event::Suspended { principal }
            }
            Command::Resume { principal } if self.suspended.contains(&principal) => Event::Resumed { principal },
            Command::Resume { .. } => return Ok(vec![]),
        };
        let mut after = self.clone();
        after.evolve(&event);
        if after.active().is_empty() && !self.active().is_empty() {
            return Err(Rejection::LastAdministrator);
        }
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Added { principal, binding } => drop(self.bindings.insert(binding.clone(), principal.clone())),
            Event::Removed { binding, .. } => drop(self.bindings.remove(binding)),
            Event::Suspended { principal } => drop(self.suspended.insert(principal.clone())),
            Event::Resumed { principal } => drop(self.suspended.remove(principal)),
        }
    }
}

#[cfg(test)]
mod spec;
