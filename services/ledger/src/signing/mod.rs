//! Keys and epochs: what the log is signed with, as events tell of it. The secrets are in the key file.

mod desk;
mod stored;

use std::collections::BTreeMap;

use cairn_kernel::{Aggregate, Code, Description, Fault, Time};

pub use desk::{Desk, DeskFault};
pub use stored::told;

/// Every key that the log was ever given after its first, by its text, and until when those before it were to sign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    keys: BTreeMap<String, Option<Time>>,
}

/// What may be asked.
#[derive(Clone, Debug)]
pub enum Command {
    /// `signing`: how many keys will sign on beside the new one.
    Rotate { rotated: Rotated, signing: usize },
    /// `current`: the name that the log is signed under.
    Open { opened: Box<Opened>, current: String },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Rotated(Rotated),
    Opened(Box<Opened>),
}

/// A key came to those of the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    pub origin: String,
    pub key: String,
    /// Those before it sign on until then.
    pub older_until: Time,
}

/// An epoch ended, and another began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    pub epoch: u32,
    pub origin: String,
    pub key: String,
    pub reason: String,
    pub ended: Ended,
}

/// What an epoch left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub origin: String,
    /// The last checkpoint that is known. Empty: there is none.
    pub checkpoint: String,
    pub signed_size: u64,
    /// How much of it the log is known to hold.
    pub kept_size: u64,
    pub found_size: u64,
}

/// Why it was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the log is signed as {current} and not as {asked}: another epoch than the one to be ended")]
    EpochNotCurrent { current: String, asked: String },
    #[error("{0} keys sign the log, and no more may: wait for one of them to stop, or let all stop at once (0 days)")]
    KeysTooMany(usize),
}

/// Most keys that sign the log at once. A note carries 32 signatures, and witnesses want to sign too.
const KEYS_MAX: usize = 8;

impl Announced {
    /// Whether an event tells of a key; then, until when those before it were to sign.
    pub fn key(&self, key: &str) -> Option<Option<Time>> {
        self.keys.get(key).copied()
    }
}

impl Aggregate for Announced {
    const CATEGORY: &'static str = "ledger.signing";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Rotate { signing, .. } if signing >= KEYS_MAX => Err(Rejection::KeysTooMany(signing)),
            Command::Rotate { rotated, .. } => Ok(vec![Event::Rotated(rotated)]),
            Command::Open { opened, current } if opened.ended.origin != current => {
                Err(Rejection::EpochNotCurrent { current, asked: opened.ended.origin })
            }
            Command::Open { opened, .. } => Ok(vec![Event::Opened(opened)]),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Rotated(rotated) => self.keys.insert(rotated.key.clone(), Some(rotated.older_until)),
            Event::Opened(opened) => self.keys.insert(opened.key.clone(), None),
        };
    }
}

impl Fault for Rejection {
    const DOMAIN: &'static str = "ledger.cairn";

    fn describe(&self) -> Description {
        match self {
            Self::EpochNotCurrent { current, .. } => {
                (Code::FailedPrecondition, "EPOCH_NOT_CURRENT", vec![("origin", current.clone())])
            }
            Self::KeysTooMany(max) => {
                (Code::FailedPrecondition, "SIGNING_KEYS_TOO_MANY", vec![("keys", max.to_string())])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotate(signing: usize) -> Command {
        let rotated = Rotated { origin: "log".into(), key: "k".into(), older_until: Time::from_micros(5) };
        Command::Rotate { rotated, signing }
    }

    #[test]
    fn a_key_is_known_from_its_event_on_and_no_more_sign_than_a_note_has_room_for() {
        let mut announced = Announced::default();
        assert_eq!(announced.key("k"), None);
        let events = announced.decide(rotate(KEYS_MAX - 1)).unwrap();
        events.iter().for_each(|event| announced.evolve(event));
        assert_eq!(announced.key("k"), Some(Some(Time::from_micros(5))));
        assert_eq!(announced.decide(rotate(KEYS_MAX)), Err(Rejection::KeysTooMany(KEYS_MAX)));
    }

    #[test]
    fn only_the_epoch_that_is_can_be_ended() {
        let ended = Ended { origin: "log".into(), ..Ended::default() };
        let opened = Opened { epoch: 2, origin: "log/2".into(), key: "k".into(), reason: "restored".into(), ended };
        let open = |current: &str| Command::Open { opened: Box::new(opened.clone()), current: current.into() };
        let refused = Rejection::EpochNotCurrent { current: "log/2-1".into(), asked: "log".into() };
        assert_eq!(Announced::default().decide(open("log/2-1")), Err(refused));
        assert_eq!(Announced::default().decide(open("log")), Ok(vec![Event::Opened(Box::new(opened.clone()))]));
    }
}
