use std::time::Duration;

use cairn_kernel::{Aggregate, Name, Time};

use super::{KeyName, PrincipalName, REASON_CHARS_MAX, Rejection, TITLE_CHARS_MAX, Text};

/// Furthest expiry of a key.
pub const LIFE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Expiry of a key when none is asked for.
pub const LIFE_DEFAULT: Duration = Duration::from_secs(90 * 24 * 3600);
/// Longest overlap of two secrets.
pub const GRACE_MAX: Duration = Duration::from_secs(24 * 3600);

/// An API key: a credential of one principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    stage: Stage,
    is_used: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Absent,
    Live,
    Revoked,
}

/// How a key is recognized. Holds nothing that the key could be made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    pub is_opaque: bool,
    pub bytes: Vec<u8>,
    pub pepper: String,
}

/// What a key is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounds {
    pub owner: PrincipalName,
    pub title: Text<TITLE_CHARS_MAX>,
    pub digest: Digest,
    /// Empty: not narrowed.
    pub scopes: Vec<Name>,
    /// Empty: not narrowed.
    pub permissions: Vec<String>,
    /// `None` only for a key that the operator chose: it ends when another is chosen.
    pub expire_time: Option<Time>,
    pub is_bootstrap: bool,
}

/// What may be asked of a key.
#[derive(Clone, Debug)]
pub struct Command {
    pub key: KeyName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Create {
        grounds: Grounds,
        now: Time,
    },
    Rotate {
        digest: Digest,
        expire_time: Time,
        grace: Duration,
        now: Time,
    },
    Revoke {
        reason: Text<REASON_CHARS_MAX>,
    },
    /// Notes that the key that lets the first administrator in was used.
    NoteUse,
}

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub key: KeyName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Created(Grounds),
    Rotated { digest: Digest, expire_time: Option<Time>, previous_secret_expire_time: Option<Time> },
    Revoked { reason: Text<REASON_CHARS_MAX> },
    BootstrapUsed,
}

impl Aggregate for Key {
    const CATEGORY: &'static str = "auth.key";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { key, act }: Command) -> Result<Vec<Event>, Rejection> {
        let change = match (act, self.stage) {
            (Act::Create { grounds, now }, Stage::Absent) => {
                if let Some(end) = grounds.expire_time {
                    check_life("expire_time", end, now)?;
                }
                Change::Created(grounds)
            }
            // Ids are made here, so whoever finds one taken is repeating.
            (Act::Create { .. }, _) => return Ok(vec![]),
            (_, Stage::Absent) => return Err(Rejection::KeyNotFound(key)),
            (Act::Revoke { .. }, Stage::Revoked) => return Ok(vec![]),
            (_, Stage::Revoked) => return Err(Rejection::KeyRevoked(key)),
            (Act::Rotate { digest, expire_time, grace, now }, Stage::Live) => {
                check_life("expire_time", expire_time, now)?;
                let until = now.after(grace);
                if grace > GRACE_MAX {
                    let (field, latest) = ("grace", now.after(GRACE_MAX));
                    return Err(Rejection::ExpiryOutOfRange { field, given: until, after: now, until: latest });
                }
                let previous = (!grace.is_zero()).then_some(until);
                Change::Rotated { digest, expire_time: Some(expire_time), previous_secret_expire_time: previous }
            }
            (Act::Revoke { reason }, Stage::Live) => Change::Revoked { reason },
            (Act::NoteUse, Stage::Live) if self.is_used => return Ok(vec![]),
            (Act::NoteUse, Stage::Live) => Change::BootstrapUsed,
        };
        Ok(vec![Event { key, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created(_) => self.stage = Stage::Live,
            Change::Rotated { .. } => {}
            Change::Revoked { .. } => self.stage = Stage::Revoked,
            Change::BootstrapUsed => self.is_used = true,
        }
    }
}

fn check_life(field: &'static str, given: Time, now: Time) -> Result<(), Rejection> {
    let until = now.after(LIFE_MAX);
    if now < given && given <= until {
        return Ok(());
    }
    Err(Rejection::ExpiryOutOfRange { field, given, after: now, until })
}

#[cfg(test)]
mod spec;
