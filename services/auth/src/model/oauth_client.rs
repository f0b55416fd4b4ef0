use cairn_kernel::Aggregate;

use super::{OauthClientName, Rejection, TITLE_CHARS_MAX, Text};

/// An application that people log in to by Cairn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OauthClient {
    terms: Option<Terms>,
    is_deleted: bool,
}

/// What an application is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub title: Text<TITLE_CHARS_MAX>,
    /// Where people are sent back to, exactly.
    pub redirect_uris: Vec<String>,
    /// Whose API keys are its secret. Empty: it keeps none.
    pub service_account: String,
}

/// What may be asked of a client.
#[derive(Clone, Debug)]
pub struct Command {
    pub oauth_client: OauthClientName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Create(Terms),
    Delete,
}

/// What happened to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub oauth_client: OauthClientName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Created(Terms),
    Deleted,
}

impl OauthClient {
    /// What it is, unless it was never added or is deleted.
    pub fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref().filter(|_| !self.is_deleted)
    }
}

impl Aggregate for OauthClient {
    const CATEGORY: &'static str = "auth.oauth_client";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { oauth_client, act }: Command) -> Result<Vec<Event>, Rejection> {
        let change = match (act, &self.terms) {
            (Act::Create(terms), None) => Change::Created(terms),
            (Act::Create(_), Some(_)) => return Err(Rejection::OauthClientExists(oauth_client)),
            (Act::Delete, None) => return Err(Rejection::OauthClientNotFound(oauth_client)),
            (Act::Delete, Some(_)) if self.is_deleted => return Ok(vec![]),
            (Act::Delete, Some(_)) => Change::Deleted,
        };
        Ok(vec![Event { oauth_client, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created(terms) => self.terms = Some(terms.clone()),
            Change::Deleted => self.is_deleted = true,
        }
    }
}
