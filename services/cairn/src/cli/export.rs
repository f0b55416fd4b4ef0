//! Records as lines for other programs: CSV, JSON Lines or CloudEvents.

use std::io::{Write, stdout};

use clap::ValueEnum;
use csv::{Terminator, WriterBuilder};
use serde_json::Value;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values (RFC 4180) with a line of headings. A value that a spreadsheet would take for a formula
    /// has a `'` before it, and so has one that begins with `'`.
    Csv,
    /// One JSON object on each line, exactly as the server gives it.
    Jsonl,
    /// One CloudEvent (1.0.2, in its JSON format) on each line.
    Cloudevents,
}

/// What makes a spreadsheet calculate, and the sign that keeps it from that.
const FORMULA: &[char] = &['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠', '\''];

impl Format {
    /// What stands above all records.
    pub fn heading(self, columns: &[&str]) -> anyhow::Result<()> {
        match self {
            Self::Csv => print(&row(columns.iter().map(|column| (*column).to_owned()))?),
            Self::Jsonl | Self::Cloudevents => Ok(()),
        }
    }

    /// One record.
    pub fn record(self, record: &Value, columns: &[&str]) -> anyhow::Result<()> {
        match self {
            Self::Csv => print(&row(columns.iter().map(|column| cell(&record[*column])))?),
            Self::Jsonl | Self::Cloudevents => print(format!("{record}\n").as_bytes()),
        }
    }
}

fn print(line: &[u8]) -> anyhow::Result<()> {
    Ok(stdout().lock().write_all(line)?)
}

/// A line of CSV.
fn row(cells: impl Iterator<Item = String>) -> anyhow::Result<Vec<u8>> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(vec![]);
    writer.write_record(cells)?;
    Ok(writer.into_inner()?)
}

/// A value that no spreadsheet calculates with. To read it exactly, drop one leading `'`.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.starts_with(FORMULA) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(values: &[&str]) -> String {
        String::from_utf8(row(values.iter().map(|value| cell(&json!(value)))).unwrap()).unwrap()
    }

    #[test]
    fn what_stands_in_a_value_cannot_end_it() {
        assert_eq!(line(&["a", "b,c", "say \"no\"", "two\nlines"]), "a,\"b,c\",\"say \"\"no\"\"\",\"two\nlines\"\r\n");
    }

    #[test]
    fn a_spreadsheet_calculates_with_nothing_of_it() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1"] {
            let read = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(line(&[formula, "x"]).as_bytes())
                .records()
                .next()
                .unwrap()
                .unwrap();
            assert_eq!(read[0], format!("'{formula}"), "and one sign less gives it back");
        }
        assert_eq!(line(&["users/a", "2026-01-01T00:00:00Z", ""]), "users/a,2026-01-01T00:00:00Z,\r\n");
    }
}
