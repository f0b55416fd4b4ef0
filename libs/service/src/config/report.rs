use std::fmt::Write;

use serde_json::Value;

use super::environment::names;
use super::{Key, Loaded, Registry};

impl Registry {
    /// The effective values with where they come from, in the form of a `cairn.toml`. Secrets stay hidden.
    pub fn print(&self, loaded: &Loaded) -> String {
        let mut text = String::new();
        for (section, _, keys) in self.sections() {
            let _ = writeln!(text, "[{section}]");
            for (key, _) in keys {
                let value = self.shown(loaded, section, key).map_or_else(String::new, toml);
                let origin = loaded.origin(section, key.name).unwrap_or("default");
                let line = if value.is_empty() {
                    format!("# {} is not set", key.name)
                } else {
                    format!("{} = {value}", key.name)
                };
                let _ = writeln!(text, "{line:<48} # {origin}");
            }
            text.push('\n');
        }
        text
    }

    /// All about one key, `section.key` or one of its environment names: what it means, how it is set, and to what.
    pub fn explain(&self, loaded: &Loaded, wanted: &str) -> Option<String> {
        let (section, key) = self.keys().find(|(section, key)| {
            format!("{section}.{}", key.name) == wanted || names(section, key).iter().any(|(name, _)| name == wanted)
        })?;
        let value = self.shown(loaded, section, key).map_or_else(String::new, toml);
        let mut text = format!("{section}.{}: {}\n\n{}\n\n", key.name, key.type_name(), key.doc);
        let _ = writeln!(text, "value:       {}", if value.is_empty() { "not set" } else { &value });
        let _ = writeln!(text, "comes from:  {}", loaded.origin(section, key.name).unwrap_or("its default"));
        let _ = writeln!(text, "environment: {}", environment(section, key));
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
                    key.doc.replace('|', "\\|"),
                );
            }
            text.push('\n');
        }
        text
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
