//! The API description: OpenAPI 3.1, from the descriptors alone.

mod errors;
mod operation;
mod path;
mod schema;
#[cfg(test)]
mod spec;

use std::collections::BTreeMap;

use cairn_contract::cairn::options::v1::Dialect;
use cairn_contract::{Contract, Declared, Method};
use serde_json::{Map, Value, json};

use crate::markdown::prose;
use schema::Schemas;

const ABOUT: &str = "Cairn over HTTP. Every method is also served over gRPC under the name in `x-cairn.method`.

Numbers of 64 bits are strings, times are RFC 3339, fields that are not set are absent, and unknown fields are refused.
Answers carry `cairn-position`, the position of the log they show; sent back as `cairn-after`, it makes any replica wait
until it has seen that much. Changes take a `request_id` in their body, or the header `Idempotency-Key`, which makes
repeating them safe; an `etag` may come as `If-Match`. Errors are AIP-193, or RFC 9457 for those who accept
`application/problem+json`. The whole of it: docs/rest.md.

Methods of compatibility dialects speak as the product they are compatible with.

Beside the methods, each process tells of itself: `/api/v1/health`, `/api/v1/health/live`, `/api/v1/health/ready`, and
`/api/v1/metrics` for Prometheus.";

/// The whole document.
pub fn page(contract: &Contract) -> String {
    let mut schemas = Schemas::default();
    let mut paths = BTreeMap::<String, Map<String, Value>>::new();
    for method in contract.methods() {
        // A document of OpenAPI knows the verbs of HTTP, and no others such as Vault's `LIST`.
        let is_known = |verb: &str| ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&verb);
        for (at, binding) in method.bindings.iter().enumerate().filter(|(_, binding)| is_known(&binding.verb)) {
            let path = path::expand(&binding.template);
            let operation = operation::describe(method, binding, at, &path, &mut schemas);
            paths.entry(path.text).or_default().insert(binding.verb.to_lowercase(), operation);
        }
    }
    schemas.add("Error", errors::cairn(contract));
    schemas.add("MlflowError", errors::mlflow());
    schemas.add("OauthError", errors::oauth());
    schemas.add("ScimError", errors::scim());
    schemas.add("VaultError", errors::vault());
    schemas.add("Problem", errors::problem(contract));
    let mut document = json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "Cairn",
            "version": env!("CARGO_PKG_VERSION"),
            "description": prose(ABOUT),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }, { "basic": [] }],
        "tags": tags(contract),
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "responses": errors::answers(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "An API key, or a token made from one." },
                "basic": {
                    "type": "http", "scheme": "basic",
                    "description": "For clients that know nothing else: any user name, and an API key as the password.",
                },
            },
        },
    });
    document.sort_all_objects();
    format!("{document:#}\n")
}

/// One tag for each service, with the comment above it.
fn tags(contract: &Contract) -> Vec<Value> {
    let mut tags = vec![];
    for service in contract.pool().services().filter(|service| service.methods().len() > 0) {
        if let Some(method) = contract.methods().iter().find(|method| method.service == service.full_name()) {
            tags.push(json!({
                "name": tag(method),
                "description": prose(&service.comment()),
                "x-package": service.package_name(),
            }));
        }
    }
    tags
}

/// `Runs` for `cairn.experiments.v1.RunsService`.
fn tag(method: &Method) -> String {
    let service = method.descriptor.parent_service();
    service.name().strip_suffix("Service").unwrap_or(service.name()).to_owned()
}

fn is_native(method: &Method) -> bool {
    method.dialect != Dialect::Mlflow
}
