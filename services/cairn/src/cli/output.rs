//! Tables for people, JSON for programs.

use std::io::{IsTerminal, Write, stdout};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// How answers are printed.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub is_json: bool,
}

/// A column: its heading, and where its value stands in an item (`a.b` goes into messages).
pub type Column = (&'static str, &'static str);

impl Output {
    /// Prints a list: a table, or one JSON array.
    pub fn list(self, items: &[Value], columns: &[Column]) -> anyhow::Result<()> {
        if self.is_json {
            return self.json(&Value::Array(items.to_vec()));
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(arrangement());
        table.set_header(columns.iter().map(|(heading, _)| *heading));
        for item in items {
            table.add_row(columns.iter().map(|(_, path)| text(at(item, path))));
        }
        line(&table.trim_fmt())
    }

    /// Prints one thing: its fields, or a JSON object.
    pub fn one(self, item: &Value) -> anyhow::Result<()> {
        if self.is_json {
            return self.json(item);
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(arrangement());
        for (key, value) in item.as_object().into_iter().flatten() {
            table.add_row([key.clone(), text(value)]);
        }
        line(&table.trim_fmt())
    }

    /// Says what was done: a sentence, or the JSON answer.
    pub fn done(self, sentence: &str, answer: &Value) -> anyhow::Result<()> {
        if self.is_json { self.json(answer) } else { line(sentence) }
    }

    /// One value as JSON: indented for a terminal, one line otherwise.
    pub fn json(self, value: &Value) -> anyhow::Result<()> {
        let text = if stdout().is_terminal() { serde_json::to_string_pretty(value)? } else { value.to_string() };
        line(&text)
    }
}

/// A line on standard output. A closed pipe (`| head`) is an error like any other, not a panic.
pub fn line(text: &str) -> anyhow::Result<()> {
    writeln!(stdout().lock(), "{text}")?;
    Ok(())
}

/// The value at `a.b.c`, or null.
pub fn at<'a>(item: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(item, |value, key| &value[key])
}

/// A value in a cell. Control characters are shown, so that stored text cannot drive a terminal.
pub fn text(value: &Value) -> String {
    let plain = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    plain.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Fits a terminal's width; a pipe gets whole lines.
fn arrangement() -> ContentArrangement {
    if stdout().is_terminal() { ContentArrangement::Dynamic } else { ContentArrangement::Disabled }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stored_text_cannot_drive_a_terminal() {
        assert_eq!(text(&json!("a\u{1b}[31mred\n")), "a\\u{1b}[31mred\\n");
    }

    #[test]
    fn a_column_reaches_into_messages() {
        let item = json!({"run": {"name": "r", "tags": {"a": "b"}}});
        assert_eq!(text(at(&item, "run.name")), "r");
        assert_eq!(text(at(&item, "run.tags")), "a=b");
        assert_eq!(text(at(&item, "run.none.deep")), "");
    }
}
