use cairn_contract::Contract;
use serde_json::{Value, json};

/// What every failed call of ours answers: AIP-193, with the reason lifted to where a reader looks first.
pub fn cairn(contract: &Contract) -> Value {
    let mut reasons: Vec<&str> = contract.reasons().iter().map(|reason| reason.name.as_str()).collect();
    reasons.sort_unstable();
    json!({
        "type": "object",
        "description": "Why a call failed. `reason` is stable; `message` is for people.",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["code", "status", "message", "reason", "details"],
            "properties": {
                "code": { "type": "integer", "description": "The HTTP status.", "minimum": 400, "maximum": 599 },
                "status": { "type": "string", "description": "The canonical code, e.g. `NOT_FOUND`." },
                "reason": { "type": "string", "enum": reasons, "description": "Why, in one word; see docs/errors.md." },
                "message": { "type": "string" },
                "context": {
                    "type": "object",
                    "description": "Every value that the message mentions, and the request id.",
                    "additionalProperties": { "type": "string" },
                },
                "trace_id": { "type": "string", "description": "Finds this request in logs and traces." },
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["@type"],
                        "properties": { "@type": { "type": "string" } },
                    },
                },
            },
        } },
    })
}

/// What a failed call answers where we speak as MLflow's server does.
pub fn mlflow() -> Value {
    json!({
        "type": "object",
        "description": "Why a call failed, as MLflow's server says it.",
        "required": ["error_code", "message"],
        "properties": {
            "error_code": { "type": "string", "examples": ["RESOURCE_DOES_NOT_EXIST"] },
            "message": { "type": "string" },
        },
    })
}
