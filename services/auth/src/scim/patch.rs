//! Operations on a resource (RFC 7644, section 3.5.2).

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::fault::Fault;
use super::filter::Path;
use super::parse::path;
use super::schema::{Attribute, Kind, Mutability, Shape};
use super::shape::{complete, fitted, is_primary};

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// Most operations in one request.
const OPERATIONS_MAX: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Add,
    Replace,
    Remove,
}

/// A resource after all operations of a request, or none of them.
pub fn patched(shape: &'static Shape, resource: &Value, sent: &Value) -> Result<Value, Fault> {
    let syntax = |problem: &str| Fault::Syntax(problem.to_owned());
    let member = |name: &str| member(sent, name);
    let is_patch = |urn: &Value| urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(PATCH_OP));
    if !member("schemas").and_then(Value::as_array).is_some_and(|urns| urns.iter().any(is_patch)) {
        return Err(Fault::Syntax(format!("schemas must name {PATCH_OP}")));
    }
    let operations = member("Operations").and_then(Value::as_array).filter(|operations| !operations.is_empty());
    let operations = operations.ok_or_else(|| syntax("Operations must be a list of at least one"))?;
    if operations.len() > OPERATIONS_MAX {
        return Err(Fault::Syntax(format!("Operations are more than {OPERATIONS_MAX}")));
    }
    let mut after = resource.clone();
    let fields = after.as_object_mut().ok_or_else(|| syntax("the resource is no object"))?;
    for operation in operations {
        operate(shape, fields, operation)?;
    }
    complete(shape, &after)?;
    Ok(after)
}

fn member<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    object.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn operate(shape: &'static Shape, resource: &mut Map<String, Value>, operation: &Value) -> Result<(), Fault> {
    let op = member(operation, "op").and_then(Value::as_str).unwrap_or_default();
    let op = match op.to_ascii_lowercase().as_str() {
        "add" => Op::Add,
        "replace" => Op::Replace,
        "remove" => Op::Remove,
        _ => return Err(Fault::Syntax("op must be add, replace or remove".into())),
    };
    let value = member(operation, "value");
    match (member(operation, "path"), op) {
        (Some(Value::String(text)), _) => match path(shape, text)? {
            Some(path) => change(resource, op, text, &path, value),
            None => Ok(()), // Not kept here, whatever it is.
        },
        (None | Some(Value::Null), Op::Remove) => Err(Fault::NoTarget { path: String::new() }),
        (None | Some(Value::Null), _) => {
            let Some(Value::Object(values)) = value else {
                return Err(Fault::value("value", "must be an object where there is no path"));
            };
            for (name, value) in values {
                // Each name is a path. What the server keeps by itself may be repeated to it.
                let is_fixed = shape.attribute(name).is_some_and(|known| known.mutability == Mutability::ReadOnly);
                let is_known = is_fixed || shape.ignores(name);
                if let (false, Some(path)) = (is_known, path(shape, name)?) {
                    change(resource, op, name, &path, Some(value))?;
                }
            }
            Ok(())
        }
        _ => Err(Fault::Syntax("path must be a text".into())),
    }
}

fn change(
    resource: &mut Map<String, Value>,
    op: Op,
    text: &str,
    path: &Path,
    value: Option<&Value>,
) -> Result<(), Fault> {
    let Path { attribute, filter, part } = path;
    if attribute.mutability == Mutability::ReadOnly {
        return Err(fixed(attribute, "is kept by the server"));
    }
    if part.is_some_and(|part| part.mutability == Mutability::Immutable) {
        return Err(fixed(attribute, "is set as a whole"));
    }
    let missing = || Fault::value(text, "a value is missing");
    if attribute.is_many && (filter.is_some() || part.is_some()) {
        return change_some(resource, op, text, path, value);
    }
    match (op, part) {
        (Op::Remove, _) if attribute.is_required => Err(fixed(attribute, "cannot be removed")),
        (Op::Remove, Some(part)) => {
            if let Some(Value::Object(parts)) = resource.get_mut(attribute.name) {
                parts.remove(part.name);
                if parts.is_empty() {
                    resource.remove(attribute.name);
                }
            }
            Ok(())
        }
        // Some directories name what they remove in a value instead of a filter.
        (Op::Remove, None) if attribute.is_many && value.is_some_and(|value| !value.is_null()) => {
            let gone = fitted(attribute, value.unwrap_or(&Value::Null))?;
            let gone = gone.iter().flat_map(|gone| gone.as_array()).flatten();
            let gone: HashSet<Option<&Value>> = gone.map(|gone| gone.get("value")).collect();
            retain(resource, attribute, |value| !gone.contains(&value.get("value")));
            Ok(())
        }
        (Op::Remove, None) => {
            resource.remove(attribute.name);
            Ok(())
        }
        (_, Some(part)) => {
            let parts = resource.entry(attribute.name).or_insert_with(|| Value::Object(Map::new()));
            let value = fitted(part, value.ok_or_else(missing)?)?;
            if let Value::Object(parts) = parts {
                put(parts, part.name, value);
            }
            Ok(())
        }
        (_, None) => {
            let value = fitted(attribute, value.ok_or_else(missing)?)?;
            if value.is_none() && attribute.is_required {
                return Err(fixed(attribute, "cannot be removed"));
            }
            whole(resource, op, attribute, value);
            Ok(())
        }
    }
}

/// Sets an attribute as a whole: parts join those that are there, added values join the others.
fn whole(resource: &mut Map<String, Value>, op: Op, attribute: &Attribute, value: Option<Value>) {
    match (resource.get_mut(attribute.name), value) {
        (Some(Value::Object(before)), Some(Value::Object(parts))) if attribute.kind == Kind::Complex => {
            before.extend(parts);
        }
        (Some(Value::Array(before)), Some(Value::Array(values))) if op == Op::Add => {
            if values.iter().any(is_primary) {
                no_longer_primary(before);
            }
            // The same again changes nothing. Thousands may be added to thousands.
            let mut known: HashSet<Value> = before.iter().cloned().collect();
            before.extend(values.into_iter().filter(|value| known.insert(value.clone())));
        }
        (_, None) if op == Op::Add => {}
        (_, value) => put(resource, attribute.name, value),
    }
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => drop(fields.insert(name.to_owned(), value)),
        None => drop(fields.remove(name)),
    }
}

fn no_longer_primary(values: &mut [Value]) {
    for value in values.iter_mut().filter_map(Value::as_object_mut) {
        if value.contains_key("primary") {
            value.insert("primary".to_owned(), Value::Bool(false));
        }
    }
}

fn fixed(attribute: &Attribute, problem: &'static str) -> Fault {
    Fault::Fixed { attribute: attribute.name.to_owned(), problem }
}

fn retain(resource: &mut Map<String, Value>, attribute: &Attribute, keep: impl Fn(&Value) -> bool) {
    if let Some(Value::Array(values)) = resource.get_mut(attribute.name) {
        values.retain(keep);
        if values.is_empty() {
            resource.remove(attribute.name);
        }
    }
}

/// Changes those values of an attribute that a filter takes, or one part of each of them.
fn change_some(
    resource: &mut Map<String, Value>,
    op: Op,
    text: &str,
    path: &Path,
    value: Option<&Value>,
) -> Result<(), Fault> {
    let Path { attribute, filter, part } = path;
    let takes = |value: &Value| filter.as_ref().is_none_or(|filter| filter.takes(value));
    if op == Op::Remove && part.is_none() {
        // Who is not in it any more need not be removed: directories repeat themselves.
        retain(resource, attribute, |value| !takes(value));
        return Ok(());
    }
    let missing = || Fault::value(text, "a value is missing");
    let new = match (op, part) {
        (Op::Remove, _) => None,
        (_, Some(part)) => fitted(part, value.ok_or_else(missing)?)?,
        (_, None) => {
            let one = fitted(attribute, value.ok_or_else(missing)?)?;
            let one = one.and_then(|values| values.as_array().and_then(|values| values.first().cloned()));
            Some(one.ok_or_else(missing)?)
        }
    };
    let becomes_primary = match part {
        Some(part) => part.name == "primary" && new == Some(Value::Bool(true)),
        None => new.as_ref().is_some_and(is_primary),
    };
    let mut values = match resource.remove(attribute.name) {
        Some(Value::Array(values)) => values,
        _ => vec![],
    };
    let taken: Vec<usize> = values.iter().enumerate().filter(|(_, value)| takes(value)).map(|(at, _)| at).collect();
    if taken.is_empty() {
        // What is added to a value that is not there makes it, if the filter says what it looks like.
        let only = filter.as_ref().filter(|_| op == Op::Add).and_then(|filter| filter.only());
        let (Some((name, wanted)), Some(part), Some(new)) = (only, part, new) else {
            return Err(Fault::NoTarget { path: text.chars().take(200).collect() });
        };
        values.push(Value::Object(Map::from_iter([(name.to_owned(), wanted.clone()), (part.name.to_owned(), new)])));
        resource.insert(attribute.name.to_owned(), Value::Array(values));
        return Ok(());
    }
    if becomes_primary {
        if taken.len() > 1 {
            return Err(Fault::value(attribute.name, "at most one value is the primary one"));
        }
        no_longer_primary(&mut values);
    }
    for at in taken {
        match (part, &mut values[at]) {
            (Some(part), Value::Object(parts)) => put(parts, part.name, new.clone()),
            (None, Value::Object(parts)) => {
                if let Some(Value::Object(new)) = &new {
                    parts.extend(new.clone());
                }
            }
            _ => {}
        }
    }
    values.retain(|value| value.as_object().is_none_or(|parts| !parts.is_empty()));
    put(resource, attribute.name, (!values.is_empty()).then_some(Value::Array(values)));
    Ok(())
}
