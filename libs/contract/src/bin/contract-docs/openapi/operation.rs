use cairn_contract::cairn::options::v1::Success;
use cairn_contract::{Binding, Declared, Method};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use crate::markdown::prose;

use super::path::{Parameter, Path};
use super::schema::{Schemas, Style};
use super::{errors, is_native, tag};

const HTTP_BODY: &str = "google.api.HttpBody";

/// How deep query parameters reach into messages: `filter.owner.name`.
const QUERY_DEPTH_MAX: usize = 3;

/// One way to call one method.
pub fn describe(method: &Method, binding: &Binding, at: usize, path: &Path, schemas: &mut Schemas) -> Value {
    let style = Style { is_native: is_native(method) };
    let mut parameters: Vec<Value> =
        path.parameters.iter().map(|parameter| path_parameter(method, parameter, style)).collect();
    if binding.body != "*" {
        let bound: Vec<&str> = binding.template.variables().iter().map(|v| v.field_path.as_str()).collect();
        let mut query = Query { schemas, style, skip: bound, parameters: &mut parameters };
        query.skip.push(&binding.body);
        query.collect(&method.input(), "", QUERY_DEPTH_MAX);
    }
    let (summary, description) = split(&method.comment);
    let mut operation = json!({
        "operationId": operation_id(method, at),
        "tags": [tag(method)],
        "summary": summary,
        "description": description,
        "parameters": parameters,
        "responses": responses(method, binding, style, schemas),
        "x-cairn": {
            "method": method.path.trim_start_matches('/'),
            "permission": method.permission,
            "resource": method.resource,
            "audit": method.audit.as_str_name().trim_start_matches("AUDIT_").to_lowercase(),
            "events": method.events,
        },
    });
    if method.deprecation.is_some() {
        operation["deprecated"] = json!(true);
    }
    if method.is_public {
        operation["security"] = json!([]);
    }
    if let Some(body) = request_body(method, binding, style, schemas) {
        operation["requestBody"] = body;
    }
    operation
}

/// Unique among all operations: further bindings of a method carry their number.
fn operation_id(method: &Method, at: usize) -> String {
    let number = if at == 0 { String::new() } else { format!("_{}", at + 1) };
    format!("{}_{}{number}", tag(method), method.name)
}

/// The first sentence, and the whole.
fn split(comment: &str) -> (String, String) {
    let text = prose(comment);
    let first = text.split_once(". ").map_or(text.as_str(), |(first, _)| first).trim_end_matches('.').to_owned();
    (first, text)
}

fn path_parameter(method: &Method, parameter: &Parameter, style: Style) -> Value {
    let mut schema = json!({ "type": "string", "minLength": 1 });
    if parameter.is_rest {
        schema["pattern"] = "^[^/]+(/[^/]+)*$".into();
    } else if style.is_native {
        schema["pattern"] = "^[A-Za-z0-9_.~@+-]*[A-Za-z0-9_~@+-][A-Za-z0-9_.~@+-]*$".into();
        schema["maxLength"] = 256.into();
    }
    let field = field_at(&method.input(), &parameter.field_path);
    let comment = field.map(|field| prose(&field.comment())).unwrap_or_default();
    let description = match parameter.is_whole {
        true => comment,
        false => format!("Part of `{}`. {comment}", parameter.field_path).trim_end().to_owned(),
    };
    json!({ "name": parameter.name, "in": "path", "required": true, "schema": schema, "description": description })
}

/// Collects the fields that come in the query: what neither the path nor the body holds.
struct Query<'a> {
    schemas: &'a mut Schemas,
    style: Style,
    skip: Vec<&'a str>,
    parameters: &'a mut Vec<Value>,
}

impl Query<'_> {
    fn collect(&mut self, message: &MessageDescriptor, prefix: &str, depth: usize) {
        let mut fields: Vec<FieldDescriptor> = message.fields().collect();
        fields.sort_by_key(FieldDescriptor::number);
        for field in fields {
            let name = format!("{prefix}{}", field.name());
            if self.skip.contains(&name.as_str()) || field.is_map() {
                continue;
            }
            match field.kind() {
                Kind::Message(inner) if !inner.full_name().starts_with("google.") => {
                    // A list of messages has no place in a query.
                    if !field.is_list() && depth > 1 {
                        self.collect(&inner, &format!("{name}."), depth - 1);
                    }
                }
                Kind::Message(inner) if !is_text(inner.full_name()) => {}
                _ => self.push(&field, name),
            }
        }
    }

    fn push(&mut self, field: &FieldDescriptor, name: String) {
        let mut schema = self.schemas.field(field, self.style);
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = Map::from_iter([
            ("name".to_owned(), Value::from(name)),
            ("in".to_owned(), "query".into()),
            ("schema".to_owned(), schema),
        ]);
        if let Some(description) = description {
            parameter.insert("description".into(), description);
        }
        self.parameters.push(parameter.into());
    }
}

fn request_body(method: &Method, binding: &Binding, style: Style, schemas: &mut Schemas) -> Option<Value> {
    let schema = match binding.body.as_str() {
        "" => return None,
        "*" => {
            let bound: Vec<&str> = binding.template.variables().iter().map(|v| v.field_path.as_str()).collect();
            schemas.body(&method.input(), &bound, style)
        }
        body => {
            let field = method.input().get_field_by_name(body)?;
            if is_raw(&field.kind()) {
                return Some(json!({ "content": { "application/octet-stream": {}, "*/*": {} } }));
            }
            schemas.field(&field, style)
        }
    };
    Some(json!({ "content": { "application/json": { "schema": schema } } }))
}

fn answer(method: &Method, binding: &Binding, style: Style, schemas: &mut Schemas) -> Value {
    let output = method.output();
    if output.full_name() == HTTP_BODY {
        return json!({ "description": "The bytes themselves.", "content": { "*/*": {} } });
    }
    if method.descriptor.is_server_streaming() {
        let item = schemas.message(&output, style);
        let lines = json!({
            "schema": { "type": "string", "description": "One JSON object a line." },
            "x-item": item,
        });
        let events = json!({
            "schema": { "type": "string", "description": "The same objects as server-sent events, when asked for." },
            "x-item": item,
        });
        let content = json!({ "application/x-ndjson": lines, "text/event-stream": events });
        return json!({ "description": "A stream of answers.", "content": content });
    }
    let schema = match output.get_field_by_name(&binding.response_body) {
        Some(field) if is_raw(&field.kind()) => {
            return json!({ "description": "The bytes themselves.", "content": { "*/*": {} } });
        }
        Some(field) => schemas.field(&field, style),
        None => schemas.message(&output, style),
    };
    json!({ "description": "Done.", "content": { "application/json": { "schema": schema } } })
}

/// Every status that the method can answer with, so that one that is not here is a fault.
fn responses(method: &Method, binding: &Binding, style: Style, schemas: &mut Schemas) -> Map<String, Value> {
    let (status, answer) = match method.success {
        Success::Created => ("201", answer(method, binding, style, schemas)),
        Success::NoContent => ("204", json!({ "description": "Done." })),
        Success::Unspecified => ("200", answer(method, binding, style, schemas)),
    };
    let mut responses = Map::from_iter([(status.to_owned(), answer)]);
    if method.output().full_name() == HTTP_BODY && method.descriptor.is_server_streaming() {
        let content = json!({ "*/*": {} });
        responses.insert("206".into(), json!({ "description": "The range asked for.", "content": content }));
        responses.insert("304".into(), json!({ "description": "Not changed since `If-None-Match`." }));
    }
    for status in errors::statuses(method, binding) {
        responses.insert(status.to_string(), errors::answer(method, status));
    }
    responses
}

/// Whether JSON writes a well-known type as a text, which has a place in a query.
fn is_text(full_name: &str) -> bool {
    matches!(full_name, "google.protobuf.Timestamp" | "google.protobuf.Duration" | "google.protobuf.FieldMask")
}

fn is_raw(kind: &Kind) -> bool {
    matches!(kind, Kind::Message(message) if message.full_name() == HTTP_BODY)
}

/// The field that a dotted path leads to.
fn field_at(message: &MessageDescriptor, path: &str) -> Option<FieldDescriptor> {
    match path.split_once('.') {
        None => message.get_field_by_name(path),
        Some((first, rest)) => match message.get_field_by_name(first)?.kind() {
            Kind::Message(inner) => field_at(&inner, rest),
            _ => None,
        },
    }
}
