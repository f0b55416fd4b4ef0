//! What this server does of the standard (RFC 7643, sections 5 to 7).

use serde_json::{Value, json};

use super::base::Base;
use super::schema::{PERSON, Shape, TEAM, definition};

const CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

/// Most resources on one page.
pub const PAGE_MAX: usize = 200;

/// What the server does.
pub fn config(base: &Base) -> Value {
    json!({
        "schemas": [CONFIG],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": PAGE_MAX },
        "changePassword": { "supported": false },
        "sort": { "supported": false },
        "etag": { "supported": true },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "API key",
            "description": "A key of a service account as a bearer token.",
            "primary": true,
        }],
        "meta": { "resourceType": "ServiceProviderConfig", "location": base.at("/ServiceProviderConfig") },
    })
}

/// The kinds of resources.
pub fn resource_types(base: &Base) -> Vec<Value> {
    [&PERSON, &TEAM].into_iter().map(|shape| resource_type(base, shape)).collect()
}

fn resource_type(base: &Base, shape: &Shape) -> Value {
    json!({
        "schemas": [RESOURCE_TYPE],
        "id": shape.name,
        "name": shape.name,
        "description": shape.about,
        "endpoint": shape.endpoint,
        "schema": shape.urn,
        "meta": { "resourceType": "ResourceType", "location": base.at(&format!("/ResourceTypes/{}", shape.name)) },
    })
}

/// The definitions of all attributes, those of these documents themselves included.
pub fn schemas(base: &Base) -> Vec<Value> {
    let kept = [&PERSON, &TEAM].into_iter().map(|shape| {
        let attributes = shape.attributes.iter().map(definition).collect();
        schema(base, (shape.urn, shape.name, shape.about), attributes)
    });
    let own = [
        (CONFIG, "ServiceProviderConfig", "What a server does", of_config()),
        (RESOURCE_TYPE, "ResourceType", "A kind of resources", of_resource_type()),
        (SCHEMA, "Schema", "The attributes of a kind of resources", of_schema()),
    ];
    kept.chain(own.into_iter().map(|(urn, name, about, of)| schema(base, (urn, name, about), of))).collect()
}

fn schema(base: &Base, (urn, name, about): (&str, &str, &str), attributes: Vec<Value>) -> Value {
    json!({
        "schemas": [SCHEMA],
        "id": urn,
        "name": name,
        "description": about,
        "attributes": attributes,
        "meta": { "resourceType": "Schema", "location": base.at(&format!("/Schemas/{urn}")) },
    })
}

/// An attribute of the documents themselves, which nobody writes.
fn fixed(name: &str, kind: &str, is_required: bool) -> Value {
    let mut told = json!({
        "name": name,
        "type": kind,
        "multiValued": false,
        "description": format!("See RFC 7643: {name}."),
        "required": is_required,
        "mutability": "readOnly",
        "returned": "default",
    });
    if kind == "string" {
        told["caseExact"] = json!(false);
        told["uniqueness"] = json!("none");
    }
    told
}

fn many(mut attribute: Value) -> Value {
    attribute["multiValued"] = json!(true);
    attribute
}

fn complex(name: &str, is_required: bool, parts: Vec<Value>) -> Value {
    let mut told = fixed(name, "complex", is_required);
    told["subAttributes"] = json!(parts);
    told
}

fn reference(name: &str, is_required: bool) -> Value {
    let mut told = fixed(name, "reference", is_required);
    told["referenceTypes"] = json!(["uri"]);
    told["caseExact"] = json!(true);
    told["uniqueness"] = json!("none");
    told
}

fn of_config() -> Vec<Value> {
    let supported = || fixed("supported", "boolean", true);
    vec![
        complex("patch", true, vec![supported()]),
        complex(
            "bulk",
            true,
            vec![supported(), fixed("maxOperations", "integer", true), fixed("maxPayloadSize", "integer", true)],
        ),
        complex("filter", true, vec![supported(), fixed("maxResults", "integer", true)]),
        complex("changePassword", true, vec![supported()]),
        complex("sort", true, vec![supported()]),
        complex("etag", true, vec![supported()]),
        many(complex(
            "authenticationSchemes",
            true,
            vec![
                fixed("type", "string", true),
                fixed("name", "string", true),
                fixed("description", "string", true),
                reference("specUri", false),
                reference("documentationUri", false),
                fixed("primary", "boolean", false),
            ],
        )),
    ]
}

fn of_resource_type() -> Vec<Value> {
    vec![
        fixed("id", "string", false),
        fixed("name", "string", true),
        fixed("description", "string", false),
        reference("endpoint", true),
        reference("schema", true),
        many(complex("schemaExtensions", false, vec![reference("schema", true), fixed("required", "boolean", true)])),
    ]
}

fn of_schema() -> Vec<Value> {
    let parts = || {
        vec![
            fixed("name", "string", true),
            fixed("type", "string", true),
            fixed("multiValued", "boolean", true),
            fixed("description", "string", false),
            fixed("required", "boolean", true),
            many(fixed("canonicalValues", "string", false)),
            fixed("caseExact", "boolean", false),
            fixed("mutability", "string", true),
            fixed("returned", "string", true),
            fixed("uniqueness", "string", false),
            many(fixed("referenceTypes", "string", false)),
        ]
    };
    let mut all = parts();
    all.push(many(complex("subAttributes", false, parts())));
    vec![
        fixed("id", "string", true),
        fixed("name", "string", true),
        fixed("description", "string", false),
        many(complex("attributes", true, all)),
    ]
}
