use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use cairn_registry::model::function::FunctionId;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::exit::Unusable;

/// The file that says what a package is.
pub const MANIFEST: &str = "function.toml";
/// Largest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// What a package says of itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub name: String,
    pub version: Option<String>,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    spec: toml::Table,
}

impl Manifest {
    /// The manifest of a folder.
    pub fn of_folder(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(MANIFEST);
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::read(&text)
    }

    /// Reads a manifest.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        let unusable = |problem: String| Unusable(format!("{MANIFEST}: {problem}"));
        let manifest: Self = toml::from_str(text).map_err(|fault| unusable(fault.to_string()))?;
        manifest.name.parse::<FunctionId>().map_err(|fault| unusable(format!("name: {fault}")))?;
        Ok(manifest)
    }

    /// The spec as JSON. Dates are texts there.
    pub fn spec(&self) -> Value {
        Value::Object(self.spec.iter().map(|(key, value)| (key.clone(), json_of(value))).collect::<Map<_, _>>())
    }

    /// What the function is to be from now on.
    pub fn document(&self) -> Value {
        json!({"description": self.description, "labels": self.labels, "spec": self.spec()})
    }
}

fn json_of(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(bool) => (*bool).into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.iter().map(json_of).collect(),
        toml::Value::Table(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), json_of(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_says_what_a_function_is() {
        let text = "name = 'train'\nversion = '1.0'\n[labels]\nteam = 'risk'\n[spec]\nimage = 'a'\nenv = {N = 2}\nsince = 2026-01-01\n";
        let manifest = Manifest::read(text).unwrap();
        let spec = json!({"image": "a", "env": {"N": 2}, "since": "2026-01-01"});
        assert_eq!(manifest.document(), json!({"description": "", "labels": {"team": "risk"}, "spec": spec}));
        for wrong in ["", "name = '../x'", "name = 'a'\ncolour = 'red'", "name = 'a'\n[labels]\nn = 1"] {
            assert!(Manifest::read(wrong).is_err(), "{wrong}");
        }
    }
}
