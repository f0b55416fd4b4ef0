//! What the exit code says, so that scripts need not read the message; and how an error is told.

use std::fmt;

use cairn_client::Fault;
use cairn_service::config::Problems;
use serde_json::{Value, json};

use super::hub::HubFault;

/// The work was done.
pub const DONE: u8 = 0;
/// The server refused, or something failed.
pub const FAILED: u8 = 1;
/// The command line was wrong. (clap's own choice.)
pub const USAGE: u8 = 2;
/// The server could not be reached.
pub const UNREACHABLE: u8 = 3;
/// What was named does not exist.
pub const NOT_FOUND: u8 = 4;
/// The credential is missing, bad, or does not allow it.
pub const DENIED: u8 = 5;

/// Shown under `cairn --help`.
pub const HELP: &str = "Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 server unreachable, \
                        4 not found, 5 not allowed or not logged in. With --json an error is one JSON object on \
                        standard error: {\"error\": {\"exit_code\", \"reason\", \"message\", …}}.";

/// What was named does not exist, as far as the command line could find out.
#[derive(Debug)]
pub struct Missing(pub String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// What was given is not what the command works on.
#[derive(Debug)]
pub struct Unusable(pub String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

/// What was verified is not true.
#[derive(Debug)]
pub struct Refuted(pub String);

impl fmt::Display for Refuted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "REFUTED: {}", self.0)
    }
}

impl std::error::Error for Refuted {}

/// An error as it is told.
pub struct Told {
    pub code: u8,
    reason: String,
    message: String,
    /// What to try.
    hint: Option<&'static str>,
    /// Further facts for programs.
    details: Option<Value>,
}

impl Told {
    /// A command line that clap does not take.
    pub fn usage(message: String) -> Self {
        Self { code: USAGE, reason: "USAGE".to_owned(), message, hint: None, details: None }
    }

    pub fn of(error: &anyhow::Error) -> Self {
        let message = format!("{error:#}");
        let told = |code, reason: &str| Self {
            code,
            reason: reason.to_owned(),
            message: message.clone(),
            hint: None,
            details: None,
        };
        if error.is::<Missing>() {
            return told(NOT_FOUND, "NOT_FOUND");
        }
        if error.is::<Unusable>() {
            return told(USAGE, "UNUSABLE");
        }
        if error.is::<Refuted>() {
            return told(FAILED, "REFUTED");
        }
        if let Some(fault) = error.downcast_ref::<HubFault>() {
            return told(fault.exit_code(), fault.reason());
        }
        if let Some(fault) = error.downcast_ref::<cairn_eventstore_kurrentdb::OpenFault>() {
            return told(FAILED, fault.reason());
        }
        if let Some(fault) = error.downcast_ref::<cairn_eventstore_postgres::OpenFault>() {
            return told(FAILED, fault.reason());
        }
        if let Some(Problems(problems)) = error.downcast_ref() {
            return Self { details: Some(json!(problems)), ..told(FAILED, "CONFIGURATION_INVALID") };
        }
        match error.downcast_ref::<Fault>() {
            Some(Fault::Unreachable { .. }) => {
                let hint = "is Cairn running there? `cairn up` starts it; --url or CAIRN_URL say where it is";
                Self { hint: Some(hint), ..told(UNREACHABLE, "UNREACHABLE") }
            }
            Some(Fault::Invalid(_)) => told(USAGE, "USAGE"),
            Some(Fault::LoggedOut(_)) => {
                Self { hint: Some("log in with `cairn login`"), ..told(DENIED, "SESSION_ENDED") }
            }
            Some(Fault::Unexpected { .. }) => {
                let hint = "is --url (CAIRN_URL) the HTTP address of a Cairn gateway?";
                Self { hint: Some(hint), ..told(FAILED, "UNEXPECTED_ANSWER") }
            }
            Some(Fault::Refused { status, reason, body, .. }) => {
                let details = body["error"]["details"].clone();
                let code = match status {
                    404 => NOT_FOUND,
                    401 | 403 => DENIED,
                    _ => FAILED,
                };
                let hint = (*status == 401).then_some(
                    "log in with `cairn login`; or give a key in CAIRN_API_KEY, or in the file of --key-file",
                );
                Self { hint, details: (!details.is_null()).then_some(details), ..told(code, reason) }
            }
            None => told(FAILED, "FAILED"),
        }
    }

    /// For people: what was wrong, and what to try.
    pub fn text(&self) -> String {
        let message = super::output::printable(&self.message);
        match self.hint {
            Some(hint) => format!("cairn: {message}\n  {hint}"),
            None => format!("cairn: {message}"),
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        super::session::given(json!({"error": super::session::given(json!({
            "exit_code": self.code, "reason": self.reason, "message": self.message, "hint": self.hint,
            "details": self.details,
        }))}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_the_same_to_people_and_to_programs() {
        let told = Told::of(&anyhow::Error::new(Missing("no run \u{1b}[31mr1".to_owned())));
        assert_eq!(told.text(), "cairn: no run \\u{1b}[31mr1", "stored text cannot drive a terminal");
        assert_eq!(
            told.json(),
            json!({"error": {"exit_code": 4, "reason": "NOT_FOUND", "message": "no run \u{1b}[31mr1"}})
        );
        let told = Told::of(&Problems(vec!["a".to_owned(), "b".to_owned()]).into());
        assert_eq!((told.code, told.json()["error"]["details"].clone()), (FAILED, json!(["a", "b"])));
    }
}
