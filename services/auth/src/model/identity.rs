use cairn_kernel::Aggregate;

use super::{IdentityProviderName, Rejection, UserName};

/// Somebody as a provider knows them. Named by a keyed hash of issuer and subject: the log does not hold who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    user: Option<UserName>,
}

/// Says that an identity is a user of ours. Whether that user may be replaced is decided before, from what became of
/// them.
#[derive(Clone, Debug)]
pub struct Command {
    pub identity: String,
    pub user: UserName,
    pub identity_provider: IdentityProviderName,
}

/// An identity is a user of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub identity: String,
    pub user: UserName,
    pub identity_provider: IdentityProviderName,
}

impl Identity {
    /// Who it is here.
    pub fn user(&self) -> Option<&UserName> {
        self.user.as_ref()
    }
}

impl Aggregate for Identity {
    const CATEGORY: &'static str = "auth.identity";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { identity, user, identity_provider }: Command) -> Result<Vec<Event>, Rejection> {
        if self.user.as_ref() == Some(&user) {
            return Ok(vec![]);
        }
        Ok(vec![Event { identity, user, identity_provider }])
    }

    fn evolve(&mut self, event: &Event) {
        self.user = Some(event.user.clone());
    }
}
