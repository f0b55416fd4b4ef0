use cairn_contract::{Binding, Method, Template};
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

/// Lays a request out over the first of the method's bindings whose path takes its fields: path variables, then body,
/// then query.
pub(crate) fn route(method: &Method, request: Value) -> Result<Routed, Fault> {
    let Value::Object(fields) = request else {
        return Err(Fault::Invalid("a request is an object".to_owned()));
    };
    let mut tried = vec![];
    for binding in &method.bindings {
        let mut rest = fields.clone();
        match path(&binding.template, &mut rest) {
            Ok(path) => return Ok(lay_out(binding, path, rest)),
            Err(problem) => tried.push(problem),
        }
    }
    Err(Fault::Invalid(tried.join("; ")))
}

/// Fills a template, taking what it binds out of the fields.
fn path(template: &Template, fields: &mut Map<String, Value>) -> Result<String, String> {
    let mut path = String::new();
    let mut rest = template.as_str();
    while let Some((literal, tail)) = rest.split_once('{') {
        let (variable, after) = tail.split_once('}').unwrap_or((tail, ""));
        let field = variable.split('=').next().unwrap_or(variable);
        let value = take(fields, field).filter(|value| !value.is_empty()).ok_or(format!("{field} must be given"))?;
        path.push_str(literal);
        path.extend(utf8_percent_encode(&value, PATH));
        rest = after;
    }
    path.push_str(rest);
    match template.matches(&path) {
        Some(_) => Ok(path),
        None => Err(format!("{path} is not of the form {template}")),
    }
}

fn lay_out(binding: &Binding, mut path: String, mut fields: Map<String, Value>) -> Routed {
    let body = match binding.body.as_str() {
        "" => None,
        "*" => Some(Value::Object(std::mem::take(&mut fields))),
        field => Some(fields.remove(field).unwrap_or_else(|| Value::Object(Map::new()))),
    };
    let mut query = vec![];
    flatten("", &Value::Object(fields), &mut query);
    // The same request is the same address, in whatever order its fields were put together.
    query.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (at, (key, value)) in query.iter().enumerate() {
        path.push(if at == 0 { '?' } else { '&' });
        path.extend(utf8_percent_encode(key, PATH));
        path.push('=');
        path.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    Routed { verb: binding.verb.clone(), path, body }
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

#[cfg(test)]
mod tests {
    use cairn_contract::Contract;
    use serde_json::json;

    use super::*;

    fn routed(rpc: &str, request: Value) -> Result<Routed, Fault> {
        route(Contract::embedded().unwrap().method(rpc).unwrap(), request)
    }

    #[test]
    fn the_binding_that_takes_the_name_is_chosen() {
        let rpc = "/cairn.auth.v1.ApiKeyService/CreateApiKey";
        let account = routed(rpc, json!({"parent": "serviceAccounts/a", "api_key": {"title": "t"}})).unwrap();
        assert_eq!((account.verb.as_str(), account.path.as_str()), ("POST", "/api/v1/serviceAccounts/a/apiKeys"));
        assert_eq!(account.body, Some(json!({"api_key": {"title": "t"}})));
        assert!(matches!(routed(rpc, json!({"parent": "projects/a"})), Err(Fault::Invalid(_))));
    }

    #[test]
    fn what_the_path_does_not_take_goes_into_the_query() {
        let request = json!({"page_size": 5, "show_deleted": true, "page_token": "a&b"});
        let listed = routed("/cairn.auth.v1.ProjectService/ListProjects", request).unwrap();
        assert_eq!(listed.path, "/api/v1/projects?page_size=5&page_token=a%26b&show_deleted=true");
        assert_eq!(listed.body, None);
    }

    #[test]
    fn a_field_inside_a_message_fills_the_path() {
        let request = json!({"project": {"name": "projects/a", "title": "t"}, "update_mask": "title"});
        let updated = routed("/cairn.auth.v1.ProjectService/UpdateProject", request).unwrap();
        assert_eq!(updated.path, "/api/v1/projects/a?update_mask=title");
        assert_eq!(updated.body, Some(json!({"title": "t"})));
    }

    #[test]
    fn a_name_that_would_leave_its_place_is_refused() {
        for name in ["projects/..", "projects/a/b/c", "projects/", ""] {
            let routed = routed("/cairn.auth.v1.ProjectService/GetProject", json!({"name": name}));
            assert!(routed.is_err(), "{name:?} gave {routed:?}");
        }
    }
}
