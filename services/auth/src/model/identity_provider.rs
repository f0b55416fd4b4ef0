use cairn_kernel::{Aggregate, Name};

use super::{IdentityProviderName, Rejection, RoleName, TITLE_CHARS_MAX, Text};

/// Who says who people are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityProvider {
    settings: Option<Settings>,
    is_deleted: bool,
}

/// How a provider is spoken to and what its words mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub title: Text<TITLE_CHARS_MAX>,
    pub issuer: String,
    pub client_id: String,
    pub client_authentication: ClientAuthentication,
    /// Beside `openid`.
    pub scopes: Vec<String>,
    pub display_name_claim: String,
    pub email_claim: String,
    /// Empty: groups mean nothing.
    pub groups_claim: String,
    pub group_roles: Vec<GroupRole>,
    pub creates_users: bool,
    pub is_disabled: bool,
}

/// A role that the members of a group get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRole {
    pub group: String,
    pub role: RoleName,
    pub resource: Name,
}

/// How we show a provider who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    SecretBasic,
    SecretPost,
    Nothing,
}

impl ClientAuthentication {
    /// As the standards call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::SecretBasic => "client_secret_basic",
            Self::SecretPost => "client_secret_post",
            Self::Nothing => "none",
        }
    }

    /// Reads the standards' word; nothing: the usual way.
    pub fn read(word: &str) -> Option<Self> {
        match word {
            "" | "client_secret_basic" => Some(Self::SecretBasic),
            "client_secret_post" => Some(Self::SecretPost),
            "none" => Some(Self::Nothing),
            _ => None,
        }
    }
}

/// What may be asked of a provider.
#[derive(Clone, Debug)]
pub struct Command {
    pub identity_provider: IdentityProviderName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Create(Settings),
    Change { settings: Settings, is_secret_changed: bool },
    Delete,
}

/// What happened to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub identity_provider: IdentityProviderName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Created(Settings),
    Changed { settings: Settings, is_secret_changed: bool },
    Deleted,
}

impl IdentityProvider {
    /// Its settings, unless it was never added or is deleted.
    pub fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref().filter(|_| !self.is_deleted)
    }
}

impl Aggregate for IdentityProvider {
    const CATEGORY: &'static str = "auth.identity_provider";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { identity_provider, act }: Command) -> Result<Vec<Event>, Rejection> {
        let change = match (act, &self.settings) {
            (Act::Create(settings), None) => Change::Created(settings),
            (Act::Create(_), Some(_)) => return Err(Rejection::IdentityProviderExists(identity_provider)),
            (_, None) => return Err(Rejection::IdentityProviderNotFound(identity_provider)),
            (Act::Delete, Some(_)) if self.is_deleted => return Ok(vec![]),
            (Act::Delete, Some(_)) => Change::Deleted,
            (_, Some(_)) if self.is_deleted => return Err(Rejection::IdentityProviderDeleted(identity_provider)),
            (Act::Change { settings, is_secret_changed }, Some(before)) => {
                if settings == *before && !is_secret_changed {
                    return Ok(vec![]);
                }
                Change::Changed { settings, is_secret_changed }
            }
        };
        Ok(vec![Event { identity_provider, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created(settings) | Change::Changed { settings, .. } => self.settings = Some(settings.clone()),
            Change::Deleted => self.is_deleted = true,
        }
    }
}
