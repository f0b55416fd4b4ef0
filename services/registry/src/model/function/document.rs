use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::patch::merged;

/// What a function runs and how: any JSON object.
pub type Spec = Map<String, Value>;

/// Most labels of a function or version.
pub const LABELS_MAX: usize = 64;
/// Largest document, in bytes of JSON: it stands whole in every revision.
pub const DOCUMENT_BYTES_MAX: usize = 256 << 10;
/// Longest key and value of a label, in bytes.
const LABEL_KEY_BYTES_MAX: usize = 63;
const LABEL_VALUE_BYTES_MAX: usize = 255;
/// The parts of a document.
const PARTS: [&str; 3] = ["description", "labels", "spec"];

/// What people say of a function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    pub description: String,
    pub labels: BTreeMap<String, String>,
    pub spec: Spec,
}

impl Document {
    /// Why it cannot be kept. `None`: it can.
    pub fn problem(&self) -> Option<String> {
        if self.labels.len() > LABELS_MAX {
            return Some(format!("labels: {} of them, at most {LABELS_MAX}", self.labels.len()));
        }
        let is_key = |key: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
            !key.is_empty() && key.len() <= LABEL_KEY_BYTES_MAX && key.chars().all(is_plain)
        };
        for (key, value) in &self.labels {
            if !is_key(key) {
                let shown: String = key.chars().take(80).collect();
                return Some(format!(
                    "labels: {shown:?} is no key (1 to {LABEL_KEY_BYTES_MAX} letters, digits and `-_./`)"
                ));
            }
            if value.len() > LABEL_VALUE_BYTES_MAX || value.chars().any(char::is_control) {
                let most = LABEL_VALUE_BYTES_MAX;
                return Some(format!("labels: the value of {key} has control characters or more than {most} bytes"));
            }
        }
        let size = self.to_json().to_string().len();
        (size > DOCUMENT_BYTES_MAX).then(|| format!("it has {size} bytes as JSON, at most {DOCUMENT_BYTES_MAX}"))
    }

    /// The document after a JSON merge patch, or what is wrong with the patch.
    pub fn patched(&self, patch: Value) -> Result<Self, String> {
        let Value::Object(fields) = &patch else { return Err("it is no object".to_owned()) };
        if let Some(other) = fields.keys().find(|key| !PARTS.contains(&key.as_str())) {
            let shown: String = other.chars().take(80).collect();
            return Err(format!("{shown:?} is nothing that can be changed: that is {}", PARTS.join(", ")));
        }
        let document = Self::read(merged(self.to_json(), patch))?;
        document.problem().map_or(Ok(document), Err)
    }

    /// The document as JSON.
    pub fn to_json(&self) -> Value {
        json!({"description": self.description, "labels": self.labels, "spec": self.spec})
    }

    /// What is not there is empty: a merge patch removes by null.
    fn read(json: Value) -> Result<Self, String> {
        let Value::Object(mut fields) = json else { return Err("it leaves no object".to_owned()) };
        let description = match fields.remove("description") {
            None => String::new(),
            Some(Value::String(text)) => text,
            Some(_) => return Err("description must be a text".to_owned()),
        };
        let labels = match fields.remove("labels") {
            None => BTreeMap::new(),
            Some(labels) => serde_json::from_value(labels)
                .map_err(|_| "labels must be an object whose values are texts".to_owned())?,
        };
        let spec = match fields.remove("spec") {
            None => Spec::new(),
            Some(Value::Object(spec)) => spec,
            Some(_) => return Err("spec must be an object".to_owned()),
        };
        Ok(Self { description, labels, spec })
    }
}
