use cairn_kernel::{Aggregate, Name, Time};

use super::{PrincipalName, Rejection, SessionName};

/// Somebody who is logged in: what tokens are given out for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    grounds: Option<Grounds>,
    /// Of the refresh token that is accepted.
    generation: u32,
    is_revoked: bool,
}

/// What holds a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A browser, by a cookie.
    Browser,
    /// A client, by a refresh token.
    Client,
}

/// What a session is started on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounds {
    pub owner: PrincipalName,
    pub holder: Holder,
    /// The client it is started for. Empty: none but a browser.
    pub client: String,
    /// Who says that it is them. Empty: a key of theirs was enough.
    pub identity_provider: String,
    /// The provider's own session, hashed.
    pub provider_session: String,
    /// The API key that it rests on.
    pub api_key: String,
    /// When they showed who they are.
    pub auth_time: Time,
    pub expire_time: Time,
    /// Empty: not narrowed.
    pub scopes: Vec<Name>,
}

/// Why a session ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Logout,
    Revoked,
    Reuse,
    Provider,
}

/// What may be asked of a session.
#[derive(Clone, Debug)]
pub struct Command {
    pub session: SessionName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    /// Ids come from what may be used once, so whoever finds one taken is using it again.
    Start(Grounds),
    /// Exchanges the refresh token of a generation for the next. An older one has been used before: the session ends,
    /// because either whoever brings it or whoever used it first has stolen it.
    Refresh {
        generation: u32,
        now: Time,
    },
    Revoke {
        cause: Cause,
    },
}

/// What happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub session: SessionName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Started(Grounds),
    Refreshed { generation: u32 },
    Revoked { cause: Cause },
}

impl Session {
    /// What it was started on, if it was.
    pub fn grounds(&self) -> Option<&Grounds> {
        self.grounds.as_ref()
    }

    /// Whether it holds at a moment.
    pub fn is_live(&self, now: Time) -> bool {
        !self.is_revoked && self.grounds.as_ref().is_some_and(|grounds| now < grounds.expire_time)
    }

    /// Of the refresh token that is accepted.
    pub fn generation(&self) -> u32 {
        self.generation
    }
}

impl Aggregate for Session {
    const CATEGORY: &'static str = "auth.session";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { session, act }: Command) -> Result<Vec<Event>, Rejection> {
        let change = match (act, &self.grounds) {
            (Act::Start(grounds), None) => Change::Started(grounds),
            (Act::Start(_), Some(_)) => return Err(Rejection::SessionStarted(session)),
            (_, None) => return Err(Rejection::SessionNotFound(session)),
            (Act::Revoke { .. }, _) if self.is_revoked => return Ok(vec![]),
            (Act::Revoke { cause }, _) => Change::Revoked { cause },
            (Act::Refresh { now, .. }, _) if !self.is_live(now) => return Err(Rejection::SessionEnded(session)),
            (Act::Refresh { generation, .. }, _) if generation == self.generation => {
                Change::Refreshed { generation: generation + 1 }
            }
            (Act::Refresh { .. }, _) => Change::Revoked { cause: Cause::Reuse },
        };
        Ok(vec![Event { session, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Started(grounds) => {
                self.grounds = Some(grounds.clone());
                self.generation = 1;
            }
            Change::Refreshed { generation } => self.generation = *generation,
            Change::Revoked { .. } => self.is_revoked = true,
        }
    }
}

#[cfg(test)]
mod spec;
