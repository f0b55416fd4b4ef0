use serde_json::{Value, json};

/// Why a client gets nothing, in the words of RFC 6749, 7009 and 8628.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthFault {
    pub error: &'static str,
    pub description: String,
}

impl OauthFault {
    pub fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { error, description: description.into() }
    }

    /// The request itself is wrong.
    pub fn invalid(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    /// The client is unknown, or did not show that it is itself. Which of them is nobody's business.
    pub fn client() -> Self {
        Self::new("invalid_client", "the client is unknown, or its secret is not its")
    }

    /// What is to be exchanged does not hold, or not for this client.
    pub fn grant(description: impl Into<String>) -> Self {
        Self::new("invalid_grant", description)
    }

    pub fn status(&self) -> u16 {
        if self.error == "invalid_client" { 401 } else { 400 }
    }

    pub fn json(&self) -> Value {
        json!({"error": self.error, "error_description": self.description})
    }
}
