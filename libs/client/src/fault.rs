use serde_json::Value;

/// Why a call did not give its answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The server refused. Code and reason are as in `docs/errors.md`.
    #[error("{message} ({reason})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Canonical code, e.g. `NOT_FOUND`.
        code: String,
        /// Stable reason, e.g. `RUN_NOT_FOUND`.
        reason: String,
        message: String,
        /// The whole error as the server sent it.
        body: Value,
    },
    /// The server could not be reached, or the line broke.
    #[error("cannot reach {url}")]
    Unreachable { url: String, source: reqwest::Error },
    /// The answer is not what the contract promises: the server is older, or not Cairn.
    #[error("the answer of {url} is not what the contract promises: {problem}")]
    Unexpected { url: String, problem: String },
    /// The request itself cannot be sent.
    #[error("{0}")]
    Invalid(String),
    /// The credential does not hold any more, and no other could be had for it.
    #[error("{0}")]
    LoggedOut(String),
}

impl Fault {
    /// Reads an AIP-193 error body.
    pub(crate) fn refused(status: u16, text: &str) -> Self {
        let body: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        let error = &body["error"];
        let text_of = |value: &Value| value.as_str().map(str::to_owned);
        let reason = error["details"].as_array().into_iter().flatten().find_map(|detail| text_of(&detail["reason"]));
        Self::Refused {
            status,
            code: text_of(&error["status"]).unwrap_or_else(|| format!("HTTP {status}")),
            reason: reason.unwrap_or_else(|| format!("HTTP_{status}")),
            message: text_of(&error["message"]).unwrap_or_else(|| text.chars().take(500).collect()),
            body,
        }
    }

    /// The stable reason, if the server refused.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Refused { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Whether a project has as much as its quota allows. Waiting makes no room, whatever the status says.
    pub fn is_over_quota(&self) -> bool {
        self.reason() == Some("QUOTA_EXCEEDED")
    }
}
