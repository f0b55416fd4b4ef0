use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use super::environment::names;
use super::{Key, Loaded, Registry};

/// What a value comes from when nothing says otherwise.
const DEFAULT: &str = "default";

/// A key with all that is known of it. Secrets are hidden.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// `section.key`.
    pub key: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The value in force.
    pub value: Value,
    /// Where that comes from: `default`, a file, a variable or a flag.
    pub origin: String,
    pub default: Value,
    /// Every variable that can set it, the strongest first.
    pub environment: Vec<String>,
    pub doc: String,
}

impl Registry {
    /// Every key with the value in force.
    pub fn settings(&self, loaded: &Loaded) -> Vec<Setting> {
        let sections = self.sections();
        sections
            .flat_map(|(section, _, keys)| keys.into_iter().map(move |(key, default)| (section, key, default)))
            .map(|(section, key, default)| Setting {
                key: format!("{section}.{}", key.name),
                kind: key.type_name(),
                value: self.shown(loaded, section, key).cloned().unwrap_or_default(),
                origin: loaded.origin(section, key.name).unwrap_or(DEFAULT).to_owned(),
                default: default.clone(),
                environment: names(section, key).into_iter().map(|(name, _)| name).collect(),
                doc: key.doc.clone(),
            })
            .collect()
    }

    /// One of them, by `section.key` or one of its environment names.
    pub fn setting(&self, loaded: &Loaded, wanted: &str) -> Option<Setting> {
        let is_wanted = |setting: &Setting| setting.key == wanted || setting.environment.iter().any(|n| n == wanted);
        self.settings(loaded).into_iter().find(is_wanted)
    }

    /// The effective values with where they come from, in the form of a `cairn.toml`. Secrets stay hidden.
    pub fn print(&self, loaded: &Loaded) -> String {
        let mut text = String::new();
        let mut current = "";
        let settings = self.settings(loaded);
        for setting in &settings {
            let (section, key) = setting.key.split_once('.').unwrap_or_default();
            if section != current {
                let _ = writeln!(text, "{}[{section}]", if current.is_empty() { "" } else { "\n" });
                current = section;
            }
            let value = toml(&setting.value);
            // A secret cannot stand in a file: what is printed can be read again.
            let line = match setting.kind {
                _ if value.is_empty() => format!("# {key} is not set"),
                "secret" => format!("# {key} is set and hidden"),
                _ => format!("{key} = {value}"),
            };
            let _ = writeln!(text, "{line:<48} # {}", setting.origin);
        }
        text
    }

    /// All about one key: what it means, how it is set, and to what.
    pub fn explain(&self, loaded: &Loaded, wanted: &str) -> Option<String> {
        let setting = self.setting(loaded, wanted)?;
        let mut text = format!("{}\n\n{}\n\n", setting.line(), setting.doc);
        let _ = writeln!(text, "type:        {}", setting.kind);
        let _ = writeln!(text, "default:     {}", plain(&setting.default));
        let _ = writeln!(text, "environment: {}", setting.environment.join(", "));
        Some(text)
    }

    /// The reference of all keys, as Markdown.
    pub fn doc(&self) -> String {
        let mut text = String::new();
        for (section, doc, keys) in self.sections() {
            let _ = writeln!(
                text,
                "## `[{section}]`\n\n{doc}\n\n| key | type | default | environment | |\n|---|---|---|---|---|"
            );
            for (key, default) in keys {
                let default = toml(default);
                let default = if default.is_empty() { "not set".to_owned() } else { format!("`{default}`") };
                let _ = writeln!(
                    text,
                    "| `{}` | {} | {default} | {} | {} |",
                    key.name,
                    key.type_name(),
                    environment(section, key),
                    format_args!(
                        "{}{}",
                        key.doc.replace('|', "\\|"),
                        if key.is_reloadable { " *Reloadable.*" } else { "" }
                    ),
                );
            }
            text.push('\n');
        }
        text
    }
}

impl Setting {
    /// In one line: the value in force and where it comes from.
    pub fn line(&self) -> String {
        format!("{} = {} ({})", self.key, plain(&self.value), self.origin)
    }
}

fn environment(section: &str, key: &Key) -> String {
    names(section, key).iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A value as TOML writes it; nothing for one that is not set.
fn toml(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// A value in a sentence.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => text.clone(),
        other => toml(other),
    }
}
