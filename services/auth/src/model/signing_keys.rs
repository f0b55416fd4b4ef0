use cairn_kernel::Aggregate;

use super::{REASON_CHARS_MAX, Rejection, Text};

/// The keys that access tokens are signed with, as far as the log knows them: by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SigningKeys {
    current: String,
}

/// Says which keys are in which place now. They are exchanged in the key file before.
#[derive(Clone, Debug)]
pub struct Command(pub Event);

/// Other keys are in their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub current: String,
    pub next: String,
    /// Empty: none.
    pub previous: String,
    pub reason: Text<REASON_CHARS_MAX>,
}

impl SigningKeys {
    /// The id of the one stream there is.
    pub const STREAM_ID: &'static str = "all";
}

impl Aggregate for SigningKeys {
    const CATEGORY: &'static str = "auth.signing_keys";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command(event): Command) -> Result<Vec<Event>, Rejection> {
        Ok(if self.current == event.current { vec![] } else { vec![event] })
    }

    fn evolve(&mut self, event: &Event) {
        self.current.clone_from(&event.current);
    }
}
