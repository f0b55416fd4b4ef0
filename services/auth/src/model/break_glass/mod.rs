use std::time::Duration;

use cairn_kernel::{Aggregate, Name, Time};

use super::{ActivationName, REASON_CHARS_MAX, Rejection, TITLE_CHARS_MAX, Text, UserName};

/// For how long the role is held at most.
pub const LIFE_MAX: Duration = Duration::from_hours(1);
/// For how long it is held at least: less would be over before anything is done.
pub const LIFE_MIN: Duration = Duration::from_mins(1);
/// How long a request may be agreed to, or taken, once it may be taken alone.
const REQUEST_LIFE: Duration = Duration::from_hours(24);
/// Within how long somebody must have looked at what was done.
const REVIEW_WITHIN: Duration = Duration::from_hours(5 * 24);

/// An emergency that somebody declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BreakGlass {
    request: Option<Request>,
    expire_time: Option<Time>,
    is_ended: bool,
    is_reviewed: bool,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub principal: UserName,
    /// The organization or a project of it.
    pub resource: Name,
    pub reason: Text<REASON_CHARS_MAX>,
    pub ticket: Text<TITLE_CHARS_MAX>,
    pub life: Duration,
    /// From when on it may be taken alone.
    pub activate_time: Time,
}

/// What may be asked of an emergency, and by whom.
#[derive(Clone, Debug)]
pub struct Command {
    pub activation: ActivationName,
    pub by: UserName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Request {
        resource: Name,
        reason: Text<REASON_CHARS_MAX>,
        ticket: Text<TITLE_CHARS_MAX>,
        life: Duration,
        /// How long who asks waits before they may take the role alone.
        delay: Duration,
        now: Time,
    },
    Approve {
        now: Time,
    },
    /// Alone.
    Activate {
        now: Time,
    },
    End {
        reason: Text<REASON_CHARS_MAX>,
        now: Time,
    },
    Review {
        review: Text<REASON_CHARS_MAX>,
        now: Time,
    },
}

/// What happened in an emergency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub activation: ActivationName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Requested(Request),
    /// `approver`: `None`, it was taken alone.
    Activated {
        approver: Option<UserName>,
        expire_time: Time,
        review_due_time: Time,
    },
    Ended {
        reason: Text<REASON_CHARS_MAX>,
    },
    Reviewed {
        review: Text<REASON_CHARS_MAX>,
    },
}

/// How an emergency stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Requested,
    Active,
    Ended,
    Lapsed,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Requested => "requested",
            Self::Active => "active",
            Self::Ended => "ended",
            Self::Lapsed => "lapsed",
        })
    }
}

/// How an emergency stands, by these times.
pub fn state(activate_time: Time, expire_time: Option<Time>, is_ended: bool, now: Time) -> State {
    match expire_time {
        _ if is_ended => State::Ended,
        Some(end) if end <= now => State::Ended,
        Some(_) => State::Active,
        None if activate_time.after(REQUEST_LIFE) <= now => State::Lapsed,
        None => State::Requested,
    }
}

impl BreakGlass {
    /// What was asked for.
    pub fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    /// When the role ends that was given.
    pub fn expire_time(&self) -> Option<Time> {
        self.expire_time
    }

    fn state(&self, request: &Request, now: Time) -> State {
        state(request.activate_time, self.expire_time, self.is_ended, now)
    }

    fn activated(&self, request: &Request, approver: Option<UserName>, now: Time) -> Change {
        let expire_time = now.after(request.life.min(LIFE_MAX));
        Change::Activated { approver, expire_time, review_due_time: expire_time.after(REVIEW_WITHIN) }
    }
}

impl Aggregate for BreakGlass {
    const CATEGORY: &'static str = "auth.break_glass";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { activation, by, act }: Command) -> Result<Vec<Event>, Rejection> {
        let Some(request) = &self.request else {
            let Act::Request { resource, reason, ticket, life, delay, now } = act else {
                return Err(Rejection::BreakGlassNotFound(activation));
            };
            let activate_time = now.after(delay);
            let request = Request { principal: by, resource, reason, ticket, life, activate_time };
            return Ok(vec![Event { activation, change: Change::Requested(request) }]);
        };
        let is_own = request.principal == by;
        let person = |what| Err(Rejection::BreakGlassPerson { activation: activation.clone(), what });
        let wrong = |state| Err(Rejection::BreakGlassState { activation: activation.to_string(), state });
        let change = match act {
            // Ids are made here, so whoever finds one taken is repeating.
            Act::Request { .. } => return Ok(vec![]),
            Act::Approve { .. } if is_own => return person("agreed to by somebody else than who asked"),
            Act::Activate { .. } if !is_own => return person("taken by who asked for it"),
            Act::Review { .. } if is_own => return person("reviewed by somebody else than who asked"),
            Act::Approve { now } => match self.state(request, now) {
                State::Requested => self.activated(request, Some(by), now),
                State::Active => return Ok(vec![]),
                state => return wrong(state),
            },
            Act::Activate { now } => match self.state(request, now) {
                State::Requested if now < request.activate_time => {
                    let activate_time = request.activate_time;
                    return Err(Rejection::BreakGlassTooEarly { activation, activate_time });
                }
                State::Requested => self.activated(request, None, now),
                State::Active => return Ok(vec![]),
                state => return wrong(state),
            },
            Act::End { .. } if self.is_ended => return Ok(vec![]),
            Act::End { reason, now } => match self.state(request, now) {
                State::Requested | State::Active => Change::Ended { reason },
                State::Ended | State::Lapsed => return Ok(vec![]),
            },
            Act::Review { .. } if self.is_reviewed => return Ok(vec![]),
            Act::Review { review, now } => match (self.expire_time, self.state(request, now)) {
                (Some(_), State::Ended) => Change::Reviewed { review },
                (_, state) => return wrong(state),
            },
        };
        Ok(vec![Event { activation, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Requested(request) => self.request = Some(request.clone()),
            Change::Activated { expire_time, .. } => self.expire_time = Some(*expire_time),
            Change::Ended { .. } => self.is_ended = true,
            Change::Reviewed { .. } => self.is_reviewed = true,
        }
    }
}

#[cfg(test)]
mod spec;
