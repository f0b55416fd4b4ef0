//! Tables for people, JSON for programs.

use std::io::{IsTerminal, Write, stderr, stdout};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

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
            table.add_row(columns.iter().map(|(_, path)| cell(path, at(item, path))));
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

    /// Says something beside the answer, on standard error.
    pub fn warn(self, message: &str) {
        let text =
            if self.is_json { json!({"warning": message}).to_string() } else { format!("cairn: warning: {message}") };
        let _ = writeln!(stderr().lock(), "{text}");
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

/// A value in its column: words of the contract in the form that people say them.
fn cell(path: &str, value: &Value) -> String {
    match (path, value.as_str()) {
        ("state" | "lifecycle" | "outcome", Some(word)) => word.rsplit('_').next().unwrap_or(word).to_lowercase(),
        ("type", Some(name)) => name.rsplit('.').next().unwrap_or(name).to_owned(),
        _ => text(value),
    }
}

/// A value as text. Control characters are shown, so that stored text cannot drive a terminal.
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
    escaped(&plain, |_| false)
}

/// A message of several lines, with control characters shown.
pub fn printable(message: &str) -> String {
    escaped(message, |c| c == '\n')
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() || is_reordering(c)) && !is_kept(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Characters that make a terminal show others in another order than they stand.
fn is_reordering(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Fits a terminal's width; a pipe gets whole lines.
pub fn arrangement() -> ContentArrangement {
    if stdout().is_terminal() { ContentArrangement::Dynamic } else { ContentArrangement::Disabled }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_text_cannot_drive_a_terminal() {
        assert_eq!(text(&json!("a\u{1b}[31mred\n")), "a\\u{1b}[31mred\\u{a}");
    }

    #[test]
    fn words_of_the_contract_are_told_as_people_say_them() {
        assert_eq!(cell("state", &json!("RUN_STATE_FINISHED")), "finished");
        assert_eq!(cell("type", &json!("cairn.auth.events.v1.ProjectCreated")), "ProjectCreated");
        assert_eq!(cell("title", &json!("STATE_OF_THE_ART")), "STATE_OF_THE_ART");
    }

    #[test]
    fn a_column_reaches_into_messages() {
        let item = json!({"run": {"name": "r", "tags": {"a": "b"}}});
        assert_eq!(text(at(&item, "run.name")), "r");
        assert_eq!(text(at(&item, "run.tags")), "a=b");
        assert_eq!(text(at(&item, "run.none.deep")), "");
    }
}
