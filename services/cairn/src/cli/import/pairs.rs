//! Params and tags, moments and filters, from MLflow's words to ours.

use cairn_kernel::Time;
use serde_json::{Map, Value, json};

use super::report::Report;

/// Most of one request, by number and by bytes: well below what a target takes by default.
const ENTRIES_MAX: usize = 1000;
const BYTES_MAX: usize = 1 << 20;
/// Longest key, in characters.
const KEY_CHARS_MAX: usize = 250;
/// Longest values, in characters.
pub const PARAM_CHARS_MAX: usize = 6000;
pub const TAG_CHARS_MAX: usize = 8000;
pub const EXPERIMENT_TAG_CHARS_MAX: usize = 20_000;
pub const MODEL_TAG_CHARS_MAX: usize = 100_000;

/// Filters for prompts, which are registered models that are hidden from those who do not ask for them.
pub const PROMPTS: &str = "tags.`mlflow.prompt.is_prompt` = 'true'";

/// `[{"key", "value"}, …]` as an object. What is too long for the target is told and left out, and the rest is not.
pub fn pairs(list: &Value, chars_max: usize, of: &str, report: &Report) -> Map<String, Value> {
    let mut kept = Map::new();
    for pair in list.as_array().into_iter().flatten() {
        let (key, value) = (text(&pair["key"]), text(&pair["value"]));
        let chars = value.chars().count();
        if key.is_empty() || key.chars().count() > KEY_CHARS_MAX {
            report.leave_out(format!("{of}, {key:?}"), format!("a key has 1 to {KEY_CHARS_MAX} characters"));
        } else if chars > chars_max {
            report.leave_out(
                format!("{of}, {key:?}"),
                format!("its value has {chars} characters, and at most {chars_max} are kept"),
            );
        } else {
            kept.insert(key.to_owned(), json!(value));
        }
    }
    kept
}

/// The same entries in requests that are small enough. The first is never missing.
pub fn chunks(mut entries: Map<String, Value>) -> Vec<Map<String, Value>> {
    // The same entries fall into the same requests, in whatever order they came.
    entries.sort_keys();
    let mut chunks = vec![Map::new()];
    let mut bytes = 0;
    for (key, value) in entries {
        let size = key.len() + value.as_str().map_or(0, str::len);
        let last = chunks.last().map_or(0, Map::len);
        if last == ENTRIES_MAX || (last > 0 && bytes + size > BYTES_MAX) {
            chunks.push(Map::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(last) = chunks.last_mut() {
            last.insert(key, value);
        }
    }
    chunks
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Filters for models of this name, on either side. There are no escapes: a name that neither sort of quotes can hold is
/// found by a pattern, and perhaps others of the same length with it.
pub fn named(name: &str) -> String {
    // A backslash before a quote hides the quote from MLflow.
    match (name.contains('\''), name.contains('"'), name.contains('\\')) {
        (false, _, false) => format!("name = '{name}'"),
        (true, false, false) => format!("name = \"{name}\""),
        _ => format!("name LIKE '{}'", name.replace(['\'', '\\'], "_")),
    }
}

/// A moment in milliseconds, as the contract writes it. Absent if it is not told.
pub fn moment(ms: &Value) -> Option<String> {
    let ms = ms.as_i64().or_else(|| ms.as_str()?.parse().ok())?;
    Some(Time::from_millis(ms).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_left_out_and_the_rest_is_not() {
        let report = Report::default();
        let list = json!([{"key": "a", "value": "1"}, {"key": "b", "value": "x".repeat(11)}, {"key": "", "value": ""}]);
        assert_eq!(Value::Object(pairs(&list, 10, "run r", &report)), json!({"a": "1"}));
        let output = crate::cli::output::Output { is_json: true };
        assert!(report.close(output, "s", "p", false).is_err(), "a script notices");
    }

    #[test]
    fn many_entries_go_in_several_requests() {
        let entries: Map<String, Value> = (0..2500).map(|at| (at.to_string(), json!("v"))).collect();
        let sizes: Vec<usize> = chunks(entries).iter().map(Map::len).collect();
        assert_eq!(sizes, [1000, 1000, 500]);
        let large: Map<String, Value> = (0..3).map(|at| (at.to_string(), json!("v".repeat(700_000)))).collect();
        assert_eq!(chunks(large).len(), 3);
        assert_eq!(chunks(Map::new()).len(), 1);
    }

    #[test]
    fn a_name_is_found_whatever_quotes_it_has() {
        assert_eq!(named("fraud"), "name = 'fraud'");
        assert_eq!(named("say \"no\""), "name = 'say \"no\"'");
        assert_eq!(named("it's"), "name = \"it's\"");
        assert_eq!(named("it's \"new\""), "name LIKE 'it_s \"new\"'");
        assert_eq!(named("back\\"), "name LIKE 'back_'");
    }

    #[test]
    fn a_moment_is_written_as_the_contract_has_it() {
        assert_eq!(moment(&json!(1_700_000_000_123_i64)).as_deref(), Some("2023-11-14T22:13:20.123Z"));
        assert_eq!(moment(&Value::Null), None);
    }
}
