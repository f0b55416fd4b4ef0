use cairn_kernel::{Aggregate, Time};

use super::{Rejection, UserName};

/// What somebody decided about a device that asks to be let in. That it asks is not on record: asking is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceLogin {
    decision: Option<Decision>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Approved(Approval),
    Refused(UserName),
}

/// As whom a device is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    pub user: UserName,
    pub identity_provider: String,
    pub provider_session: String,
    pub auth_time: Time,
    /// The session it was approved in.
    pub session: String,
}

/// Decides on a device, once.
#[derive(Clone, Debug)]
pub struct Command {
    /// Names the login: a hash of the code that was typed in.
    pub login: String,
    pub decision: Decision,
}

/// What was decided on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub login: String,
    pub decision: Decision,
}

impl DeviceLogin {
    /// What was decided, if anything was.
    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }
}

impl Aggregate for DeviceLogin {
    const CATEGORY: &'static str = "auth.device_login";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { login, decision }: Command) -> Result<Vec<Event>, Rejection> {
        match &self.decision {
            None => Ok(vec![Event { login, decision }]),
            Some(_) => Err(Rejection::DeviceLoginDecided),
        }
    }

    fn evolve(&mut self, event: &Event) {
        self.decision = Some(event.decision.clone());
    }
}
