use std::collections::BTreeMap;

use config::{ConfigError, Map, Source, Value, ValueKind};

use super::Key;

const PREFIX: &str = "CAIRN__";

/// The environment as a source of configuration that remembers which variable said what.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    values: Vec<(String, Value)>,
}

impl Environment {
    /// Takes what the keys' names say. A key's short names count more than its long one, and earlier ones more than
    /// later.
    pub fn read<'a>(variables: &BTreeMap<String, String>, keys: impl Iterator<Item = (&'a str, &'a Key)>) -> Self {
        let mut values = vec![];
        for (section, key) in keys {
            for (name, path) in names(section, key).into_iter().rev() {
                // Compose files and the like pass variables on that nobody has set: empty says nothing.
                if let Some(text) = variables.get(&name).filter(|text| !text.is_empty()) {
                    values.push((path, value(&name, text, key.is_list())));
                }
            }
        }
        Self { values }
    }

    /// Variables that look like keys of ours and are none.
    pub fn unknown<'a>(
        variables: &'a BTreeMap<String, String>,
        keys: impl Iterator<Item = (&'a str, &'a Key)>,
    ) -> Vec<&'a str> {
        let known: Vec<String> = keys.flat_map(|(section, key)| names(section, key)).map(|(name, _)| name).collect();
        let ours = variables.keys().filter(|name| name.starts_with(PREFIX));
        ours.filter(|name| !known.contains(name)).map(String::as_str).collect()
    }
}

/// Every name a key can be set by, the strongest first, with the path it sets.
pub(super) fn names(section: &str, key: &Key) -> Vec<(String, String)> {
    let long = format!("{PREFIX}{}__{}", section.to_uppercase(), key.name.to_uppercase());
    let path = format!("{section}.{}", key.name);
    let names = key.short_names.iter().map(|name| (*name).to_owned()).chain([long]);
    names
        .flat_map(|name| {
            let file = key.is_secret().then(|| (format!("{name}_FILE"), format!("{path}_file")));
            [Some((name, path.clone())), file]
        })
        .flatten()
        .collect()
}

fn value(name: &str, text: &str, is_list: bool) -> Value {
    let origin = format!("environment variable {name}");
    let text_value = |text: &str| Value::new(Some(&origin), ValueKind::String(text.to_owned()));
    if !is_list {
        return text_value(text);
    }
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(text_value).collect();
    Value::new(Some(&origin), ValueKind::Array(items))
}

impl Source for Environment {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.values.iter().cloned().collect())
    }
}
