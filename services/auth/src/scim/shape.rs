//! Resources as clients send them, brought into the shape of their schema.

use serde_json::{Map, Value};

use super::fault::Fault;
use super::schema::{Attribute, Kind, Mutability, Shape, find};

/// Longest text in an attribute, in characters.
const CHARS_MAX: usize = 512;
/// Most values of one attribute, but of a group's members.
const VALUES_MAX: usize = 50;
/// Most members in one request.
const MEMBERS_MAX: usize = 10_000;

/// A resource as it was sent: what is kept of it, under the names of the schema. What the server keeps by itself is left
/// out, and so is what the standard does not have or Cairn does not keep.
pub fn resource(shape: &'static Shape, sent: &Value) -> Result<Value, Fault> {
    let Value::Object(sent) = sent else { return Err(Fault::Syntax("the body must be a JSON object".into())) };
    let schemas = find_value(sent, "schemas");
    let is_named = |urn: &Value| urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(shape.urn));
    if !schemas.and_then(Value::as_array).is_some_and(|urns| urns.iter().any(is_named)) {
        return Err(Fault::Syntax(format!("schemas must name {}", shape.urn)));
    }
    let mut kept = Map::new();
    for (name, value) in sent {
        let Some(attribute) = shape.attribute(name).filter(|attribute| is_written(attribute)) else { continue };
        if let Some(value) = fitted(attribute, value)?
            && kept.insert(attribute.name.to_owned(), value).is_some()
        {
            return Err(Fault::Syntax(format!("{} is there twice", attribute.name)));
        }
    }
    let kept = Value::Object(kept);
    complete(shape, &kept)?;
    Ok(kept)
}

fn find_value<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn is_written(attribute: &Attribute) -> bool {
    attribute.mutability != Mutability::ReadOnly
}

/// Refuses a resource that lacks what it cannot be without. Whether somebody is let in has an answer without a word.
pub fn complete(shape: &Shape, resource: &Value) -> Result<(), Fault> {
    for attribute in shape.attributes.iter().filter(|attribute| attribute.is_required && attribute.kind == Kind::Text) {
        if resource.get(attribute.name).and_then(Value::as_str).is_none_or(|text| text.trim().is_empty()) {
            return Err(Fault::value(attribute.name, "is required"));
        }
    }
    Ok(())
}

/// The value of an attribute. Nothing and an empty list are no value (RFC 7643, section 2.5).
pub fn fitted(attribute: &'static Attribute, sent: &Value) -> Result<Option<Value>, Fault> {
    if !attribute.is_many {
        return one(attribute, attribute.name, sent);
    }
    let max = if attribute.name == "members" { MEMBERS_MAX } else { VALUES_MAX };
    let alone = std::slice::from_ref(sent);
    let each = match sent {
        Value::Null => return Ok(None),
        Value::Array(values) => values.as_slice(),
        _ => alone,
    };
    if each.len() > max {
        return Err(Fault::value(attribute.name, format!("has more than {max} values")));
    }
    let mut values: Vec<Value> = vec![];
    for value in each {
        let Some(value) = one(attribute, attribute.name, value)? else { continue };
        values.push(value);
    }
    let primary = values.iter().filter(|value| is_primary(value)).count();
    if primary > 1 {
        return Err(Fault::value(attribute.name, "at most one value is the primary one"));
    }
    Ok((!values.is_empty()).then_some(Value::Array(values)))
}

pub fn is_primary(value: &Value) -> bool {
    value.get("primary") == Some(&Value::Bool(true))
}

fn one(attribute: &'static Attribute, name: &str, sent: &Value) -> Result<Option<Value>, Fault> {
    let fault = |problem: &str| Fault::value(name, problem);
    match (attribute.kind, sent) {
        (_, Value::Null) => Ok(None),
        (Kind::Complex, Value::Object(sent)) => {
            let mut parts = Map::new();
            for (key, value) in sent {
                let Some(part) = find(attribute.parts, key).filter(|part| is_written(part)) else { continue };
                if let Some(value) = one(part, &format!("{name}.{}", part.name), value)? {
                    parts.insert(part.name.to_owned(), value);
                }
            }
            Ok((!parts.is_empty()).then_some(Value::Object(parts)))
        }
        // Some send the value alone.
        (Kind::Complex, Value::String(_)) if attribute.is_many => {
            let part = find(attribute.parts, "value").ok_or_else(|| fault("must be an object"))?;
            let value = one(part, name, sent)?;
            Ok(value.map(|value| Value::Object(Map::from_iter([("value".to_owned(), value)]))))
        }
        (Kind::Complex, _) => Err(fault("must be an object")),
        (Kind::Boolean, Value::Bool(_)) => Ok(Some(sent.clone())),
        // Some directories write it as a text.
        (Kind::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(Value::Bool(true))),
        (Kind::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(Value::Bool(false))),
        (Kind::Boolean, _) => Err(fault("must be true or false")),
        (_, Value::String(text)) if text.is_empty() => Ok(None),
        (_, Value::String(text)) if text.chars().count() > CHARS_MAX || text.contains(char::is_control) => {
            Err(fault(&format!("must be at most {CHARS_MAX} characters, without control characters")))
        }
        (_, Value::String(_)) => Ok(Some(sent.clone())),
        _ => Err(fault("must be a text")),
    }
}
