use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// A JSON value, parsed once and written one way. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Json {
    value: Arc<Value>,
    text: Arc<str>,
}

impl Json {
    /// The value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// As it is stored: without spaces, the fields of objects in the order of their names.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads a stored value. What does not read is a text: history obeys older rules.
    pub fn stored(text: &str) -> Self {
        serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::String(text.to_owned())).into()
    }

    /// Every text in it, however deep.
    pub fn texts(&self) -> Vec<&str> {
        let mut found = vec![];
        collect(&self.value, &mut found);
        found
    }
}

fn collect<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl From<Value> for Json {
    fn from(mut value: Value) -> Self {
        // Maps keep their order, or not, as whatever else is in the program has it.
        value.sort_all_objects();
        let text = value.to_string().into();
        Self { value: Arc::new(value), text }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
