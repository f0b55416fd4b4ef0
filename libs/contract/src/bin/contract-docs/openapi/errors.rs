use cairn_contract::cairn::options::v1::Dialect;
use cairn_contract::{Binding, Contract, Method};
use serde_json::{Map, Value, json};

use super::is_native;
use super::schema::reference;

/// Each status that a failed call may have, and what it means.
const STATUSES: [(u16, &str); 16] = [
    (400, "The request is not well formed, or the state of things does not allow it."),
    (401, "No credential came, or it does not hold."),
    (403, "The caller may not do this."),
    (404, "What is named is not there, or there is no such path."),
    (408, "The body did not arrive in time."),
    (409, "It exists already, or somebody else changed it at the same moment."),
    (412, "`If-Match` names a state that is no longer current."),
    (413, "The body is too large."),
    (415, "The body is of another media type."),
    (416, "The range lies outside what there is."),
    (429, "More requests than are allowed: `Retry-After` says when to go on."),
    (499, "The caller gave up waiting."),
    (500, "Something went wrong on our side."),
    (501, "MLflow has this, and Cairn does not."),
    (503, "Not at this moment: `Retry-After` says when to go on."),
    (504, "It was not done in time."),
];

/// The statuses with which a method can fail.
pub fn statuses(method: &Method, binding: &Binding) -> impl Iterator<Item = u16> {
    let takes_body = !binding.body.is_empty();
    let is_change = !method.is_read;
    let is_native = is_native(method);
    let is_raw = method.descriptor.is_server_streaming() && method.output().full_name() == "google.api.HttpBody";
    let is_possible = move |status: &u16| match status {
        408 | 413 | 415 => takes_body,
        409 => is_change,
        412 => is_change && is_native,
        416 => is_raw,
        501 => !is_native,
        _ => true,
    };
    STATUSES.iter().map(|(status, _)| *status).filter(is_possible)
}

/// A failed call's answer, by its name in [`answers`].
pub fn answer(method: &Method, status: u16) -> Value {
    let name = match method.dialect {
        Dialect::Mlflow => "MlflowError",
        Dialect::Oauth => "OauthError",
        Dialect::Scim => "ScimError",
        Dialect::Vault => "VaultError",
        _ => "Error",
    };
    json!({ "$ref": format!("#/components/responses/{name}{status}") })
}

/// What failed calls answer: by status, in our own words, in MLflow's, and in those of OAuth, SCIM and Vault.
pub fn answers() -> Value {
    let ours = json!({
        "application/json": { "schema": reference("Error") },
        "application/problem+json": { "schema": reference("Problem") },
    });
    let mlflow = json!({ "application/json": { "schema": reference("MlflowError") } });
    // A browser that follows a login is shown a page.
    let oauth = json!({
        "application/json": { "schema": reference("OauthError") },
        "text/html": { "schema": { "type": "string" } },
    });
    let scim = json!({ "application/scim+json": { "schema": reference("ScimError") } });
    let vault = json!({ "application/json": { "schema": reference("VaultError") } });
    let mut answers = Map::new();
    let forms = [
        ("Error", &ours, 501),
        ("MlflowError", &mlflow, 412),
        ("OauthError", &oauth, 501),
        ("ScimError", &scim, 501),
        ("VaultError", &vault, 501),
    ];
    for (name, content, absent) in forms {
        for (status, description) in STATUSES.iter().filter(|(status, _)| *status != absent) {
            answers.insert(format!("{name}{status}"), json!({ "description": description, "content": content }));
        }
    }
    answers.into()
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

/// What a failed call answers where programs log in: RFC 6749, section 5.2.
pub fn oauth() -> Value {
    json!({
        "type": "object",
        "description": "Why a call failed, as OAuth says it (RFC 6749, section 5.2).",
        "required": ["error"],
        "properties": {
            "error": { "type": "string", "examples": ["invalid_request"] },
            "error_description": { "type": "string" },
        },
    })
}

/// What a failed call answers a directory: RFC 7644, section 3.12.
pub fn scim() -> Value {
    json!({
        "type": "object",
        "description": "Why a call failed, as SCIM says it (RFC 7644, section 3.12).",
        "required": ["schemas", "status"],
        "properties": {
            "schemas": { "type": "array", "items": { "type": "string" } },
            "status": { "type": "string", "examples": ["404"] },
            "scimType": { "type": "string", "examples": ["invalidFilter"] },
            "detail": { "type": "string" },
        },
    })
}

/// What a failed call answers where we speak as HashiCorp Vault does.
pub fn vault() -> Value {
    json!({
        "type": "object",
        "description": "Why a call failed, as Vault says it. Empty: what was asked for is not there.",
        "required": ["errors"],
        "properties": { "errors": { "type": "array", "items": { "type": "string" } } },
    })
}
