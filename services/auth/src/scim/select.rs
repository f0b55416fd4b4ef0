//! Which attributes an answer shows (RFC 7644, section 3.9).

use serde_json::{Map, Value};

use super::schema::Shape;

/// Shown whatever is asked for.
const ALWAYS: [&str; 2] = ["schemas", "id"];
/// Most attributes that are asked for.
const NAMES_MAX: usize = 100;

/// What a request asks to see.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    only: Vec<String>,
    not: Vec<String>,
}

impl Selection {
    /// From names that are separated by commas.
    pub fn read(only: &str, not: &str) -> Self {
        let names = |text: &str| {
            let names = text.split(',').map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty());
            names.take(NAMES_MAX).collect()
        };
        Self { only: names(only), not: names(not) }
    }

    /// Whether an attribute is shown at all, so that it is worth looking up.
    pub fn shows(&self, shape: &Shape, attribute: &str) -> bool {
        let attribute = attribute.to_lowercase();
        let is_about = |name: &String| {
            let name = bare(shape, name);
            name == attribute || name.strip_prefix(&attribute).is_some_and(|rest| rest.starts_with('.'))
        };
        let is_hidden = self.not.iter().any(|name| bare(shape, name) == attribute);
        if self.only.is_empty() { !is_hidden } else { self.only.iter().any(is_about) }
    }

    /// What is shown of a resource.
    pub fn of(&self, shape: &Shape, resource: Value) -> Value {
        let Value::Object(fields) = resource else { return resource };
        let mut shown = Map::new();
        for (name, value) in fields {
            if ALWAYS.contains(&name.as_str()) {
                shown.insert(name, value);
                continue;
            }
            if !self.shows(shape, &name) {
                continue;
            }
            let prefix = format!("{}.", name.to_lowercase());
            let parts = |names: &[String]| -> Vec<String> {
                let parts = names.iter().filter_map(|asked| bare(shape, asked).strip_prefix(&prefix));
                parts.map(str::to_owned).collect()
            };
            let is_whole = self.only.iter().any(|asked| bare(shape, asked) == name.to_lowercase());
            let only = if is_whole { vec![] } else { parts(&self.only) };
            shown.insert(name, narrowed(value, &only, &parts(&self.not)));
        }
        Value::Object(shown)
    }
}

/// A name without the schema that may stand before it.
fn bare<'n>(shape: &Shape, name: &'n str) -> &'n str {
    let urn = shape.urn.to_lowercase();
    name.strip_prefix(&urn).and_then(|rest| rest.strip_prefix(':')).unwrap_or(name)
}

fn narrowed(value: Value, only: &[String], not: &[String]) -> Value {
    if only.is_empty() && not.is_empty() {
        return value;
    }
    match value {
        Value::Array(values) => values.into_iter().map(|value| narrowed(value, only, not)).collect(),
        Value::Object(parts) => {
            let is_shown = |name: &String| {
                let name = name.to_lowercase();
                if only.is_empty() { !not.contains(&name) } else { only.contains(&name) }
            };
            Value::Object(parts.into_iter().filter(|(name, _)| is_shown(name)).collect())
        }
        value => value,
    }
}
