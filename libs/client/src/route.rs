use cairn_contract::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::Fault;

/// What a path keeps as it is: RFC 3986's unreserved characters and the slashes of resource names.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b'@');

/// A request as HTTP has it.
#[derive(Debug, PartialEq)]
pub(crate) struct Routed {
    pub verb: String,
    /// Path and query.
    pub path: String,
    pub body: Option<Value>,
}

/// Lays a request out over the method's first binding: path variables, then body, then query.
pub(crate) fn route(method: &Method, request: Value) -> Result<Routed, Fault> {
    let binding = method.bindings.first().ok_or_else(|| Fault::Invalid(format!("{} has no route", method.path)))?;
    let Value::Object(mut fields) = request else {
        return Err(Fault::Invalid("a request is an object".to_owned()));
    };
    let mut path = String::new();
    let mut rest = binding.template.as_str();
    while let Some((literal, tail)) = rest.split_once('{') {
        let (variable, after) =
            tail.split_once('}').ok_or_else(|| Fault::Invalid(format!("{} has a broken template", method.path)))?;
        let field = variable.split('=').next().unwrap_or(variable);
        let value = take(&mut fields, field).unwrap_or_default();
        if value.is_empty() {
            return Err(Fault::Invalid(format!("{field} must be given")));
        }
        path.push_str(literal);
        path.extend(utf8_percent_encode(&value, PATH));
        rest = after;
    }
    path.push_str(rest);

    let body = match binding.body.as_str() {
        "" => None,
        "*" => Some(Value::Object(std::mem::take(&mut fields))),
        field => Some(fields.remove(field).unwrap_or(Value::Object(Map::new()))),
    };
    let mut query = vec![];
    flatten("", &Value::Object(fields), &mut query);
    for (at, (key, value)) in query.iter().enumerate() {
        path.push(if at == 0 { '?' } else { '&' });
        path.extend(utf8_percent_encode(key, PATH));
        path.push('=');
        path.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    Ok(Routed { verb: binding.verb.clone(), path, body })
}

/// Removes a field, which may lie in a message (`run.name`), and gives its text.
fn take(fields: &mut Map<String, Value>, path: &str) -> Option<String> {
    match path.split_once('.') {
        Some((first, rest)) => take(fields.get_mut(first)?.as_object_mut()?, rest),
        None => match fields.remove(path)? {
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        },
    }
}

fn flatten(prefix: &str, value: &Value, query: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, query);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| flatten(prefix, item, query)),
        Value::String(text) => query.push((prefix.to_owned(), text.clone())),
        other => query.push((prefix.to_owned(), other.to_string())),
    }
}
