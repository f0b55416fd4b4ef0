use std::collections::BTreeMap;

use config::{ConfigError, Map, Source, Value, ValueKind};

use super::Key;
use super::nearest::within;
use super::sources::Flag;

const PREFIX: &str = "CAIRN__";
/// How short names of ours begin. Others (`API_HOST`, `RUST_LOG`) belong to everybody, and say nothing when they are
/// nearly ours.
const SHORT_PREFIXES: &[&str] = &["CAIRN_", "MLRUN_"];
/// So many wrong letters make a misspelt name; more make another one.
const WRONG_LETTERS_MAX: usize = 2;

/// How the origin of a value from the environment begins.
pub(super) const ORIGIN: &str = "environment variable";

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
                    values.push((path, value(&format!("{ORIGIN} {name}"), text, key.is_list())));
                }
            }
        }
        Self { values }
    }

    /// Takes what the command line says, under its own origin.
    pub fn flags<'a>(flags: &[Flag], keys: impl Iterator<Item = (&'a str, &'a Key)>) -> Self {
        let lists: Vec<String> =
            keys.filter(|(_, key)| key.is_list()).map(|(section, key)| format!("{section}.{}", key.name)).collect();
        let values = flags.iter().map(|flag| {
            (flag.path.clone(), value(&format!("flag {}", flag.name), &flag.value, lists.contains(&flag.path)))
        });
        Self { values: values.collect() }
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

/// Variables that are nearly a short name of a key: with the name they probably were to be. Ignored, they would leave
/// somebody believing that a limit or a key is in force.
pub(super) fn misspelt<'a>(
    variables: &'a BTreeMap<String, String>,
    keys: impl Iterator<Item = (&'a str, &'a Key)>,
) -> Vec<(&'a str, String)> {
    let known: Vec<String> = keys.flat_map(|(section, key)| names(section, key)).map(|(name, _)| name).collect();
    let ours = variables.keys().filter(|name| {
        SHORT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            && !name.starts_with(PREFIX)
            && !known.contains(name)
    });
    ours.filter_map(|name| {
        let short = known.iter().map(String::as_str).filter(|known| !known.starts_with(PREFIX));
        Some((name.as_str(), within(name, short, WRONG_LETTERS_MAX)?.to_owned()))
    })
    .collect()
}

fn value(origin: &str, text: &str, is_list: bool) -> Value {
    let origin = origin.to_owned();
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
