use serde::{Deserialize, Serialize};

/// Who, on whose behalf, for which request and under which decision: stored with every event.
///
/// Stored as JSON with these field names, so that any reader of the log understands it without our code. Ids of
/// principals are opaque; nothing personal belongs here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Who acted, e.g. `users/u-7f3k` or `serviceAccounts/trainer`; a service acting by itself is `services/<name>`.
    pub principal: String,
    /// For whom, when the actor is not the one who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// `projects/<project>` when the change lies inside one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The permission exercised, e.g. `experiments.runs.create`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// The resource name it was exercised on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Names the request this event answers. The caller's own, else one the edge made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// SHA-256 (hex) of the request as sent, when the caller gave a request id: a repeat must match it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
    /// Shared by everything that follows from one original request.
    #[serde(rename = "$correlationId", skip_serializing_if = "String::is_empty")]
    pub correlation_id: String,
    /// The event or request that led to this one.
    #[serde(rename = "$causationId", skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// W3C trace context of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Address the request came from, sealed for the principal; of a stranger the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,
    /// The access decision that allowed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
    /// The last access change that the decision took into account: its position in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_position: Option<u64>,
    /// What was known when guardrails were asked by the service itself: JSON, as `libs/access` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guarded: Option<String>,
    /// The emergency during which it was done: the resource name of a break-glass activation that holds where it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
    /// Public id of the API key that was presented, or that the presented token was got with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// What a token narrowed the caller to, beyond its key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

impl Metadata {
    /// For what a service does by itself, outside any request.
    pub fn of_service(service: &str) -> Self {
        Self { principal: format!("services/{service}"), ..Self::default() }
    }

    /// The bytes stored beside an event.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain strings always encode")
    }

    /// Reads stored bytes. What is not ours (a foreign client's metadata) reads as empty fields.
    pub fn decode(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_survives_storage_and_foreign_bytes_do_no_harm() {
        let metadata = Metadata {
            principal: "users/u-1".into(),
            correlation_id: "c".into(),
            decision_id: Some("d".into()),
            ..Metadata::default()
        };
        assert_eq!(Metadata::decode(&metadata.encode()), metadata);
        assert_eq!(Metadata::decode(b"\xff not json"), Metadata::default());
        assert_eq!(Metadata::decode(br#"{"foreign": 1}"#), Metadata::default());
    }
}
