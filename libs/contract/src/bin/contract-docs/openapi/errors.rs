use cairn_contract::{Binding, Contract, Method};
use serde_json::{Value, json};

use super::is_native;
use super::schema::reference;

/// The statuses with which a method can fail, and what each means.
pub fn statuses(method: &Method, binding: &Binding) -> Vec<(u16, &'static str)> {
    let takes_body = !binding.body.is_empty();
    let is_change = !method.is_read;
    let is_raw = method.descriptor.is_server_streaming() && method.output().full_name() == "google.api.HttpBody";
    let all = [
        (true, 400, "The request is not well formed, or the state of things does not allow it."),
        (true, 401, "No credential came, or it does not hold."),
        (true, 403, "The caller may not do this."),
        (true, 404, "What is named is not there, or there is no such path."),
        (takes_body, 408, "The body did not arrive in time."),
        (is_change, 409, "It exists already, or somebody else changed it at the same moment."),
        (is_change && is_native(method), 412, "`If-Match` names a state that is no longer current."),
        (takes_body, 413, "The body is too large."),
        (takes_body, 415, "The body is of another media type."),
        (is_raw, 416, "The range lies outside what there is."),
        (true, 429, "More requests than are allowed: `Retry-After` says when to go on."),
        (true, 499, "The caller gave up waiting."),
        (true, 500, "Something went wrong on our side."),
        (!is_native(method), 501, "MLflow has this, and Cairn does not."),
        (true, 503, "Not at this moment: `Retry-After` says when to go on."),
        (true, 504, "It was not done in time."),
    ];
    all.into_iter().filter(|(is_possible, ..)| *is_possible).map(|(_, status, text)| (status, text)).collect()
}

/// A failed call's answer.
pub fn answer(method: &Method, description: &str) -> Value {
    let content = if is_native(method) {
        json!({
            "application/json": { "schema": reference("Error") },
            "application/problem+json": { "schema": reference("Problem") },
        })
    } else {
        json!({ "application/json": { "schema": reference("MlflowError") } })
    };
    json!({ "description": description, "content": content })
}

/// The same as [`cairn`], as RFC 9457 has it, for those who accept `application/problem+json`.
pub fn problem(contract: &Contract) -> Value {
    json!({
        "type": "object",
        "description": "Why a call failed, as RFC 9457 says it.",
        "required": ["type", "title", "status", "detail", "instance", "code", "reason", "context", "trace_id"],
        "properties": {
            "type": { "type": "string", "description": "`urn:cairn:reason:` and the reason." },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "For people." },
            "instance": { "type": "string", "description": "`urn:cairn:request:` and the request id." },
            "code": { "type": "string", "description": "The canonical code, e.g. `NOT_FOUND`." },
            "reason": { "type": "string", "enum": reasons(contract) },
            "context": { "type": "object", "additionalProperties": { "type": "string" } },
            "trace_id": { "type": "string" },
        },
    })
}

fn reasons(contract: &Contract) -> Vec<&str> {
    let mut reasons: Vec<&str> = contract.reasons().iter().map(|reason| reason.name.as_str()).collect();
    reasons.sort_unstable();
    reasons
}

/// What every failed call of ours answers: AIP-193, with the reason lifted to where a reader looks first.
pub fn cairn(contract: &Contract) -> Value {
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
                "reason": { "type": "string", "enum": reasons(contract), "description": "Why, in one word; see docs/errors.md." },
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
