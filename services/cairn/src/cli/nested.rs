//! Nested settings as flat params, and back: `{"opt": {"lr": 0.1}}` is the param `opt.lr` with the value `0.1`.
//!
//! Nothing is lost on the way: what a key of ours cannot hold is written as `:` and two hexadecimal digits for each byte,
//! and a value that is no text stands as its JSON, as does a text that could be taken for one.

use anyhow::{Context, bail};
use serde_json::{Map, Value};

/// Stands for a key that is empty: no byte is written so.
const EMPTY: &str = ":-";

/// Each setting under its whole path.
pub fn flatten(settings: &Map<String, Value>) -> Vec<(String, String)> {
    let mut flat = vec![];
    walk("", settings, &mut flat);
    flat
}

fn walk(prefix: &str, settings: &Map<String, Value>, flat: &mut Vec<(String, String)>) {
    for (key, value) in settings {
        let path = format!("{prefix}{}", escape(key));
        match value {
            // One without settings is a value: otherwise nothing would be left of it.
            Value::Object(inner) if !inner.is_empty() => walk(&format!("{path}."), inner, flat),
            Value::String(text) if serde_json::from_str::<Value>(text).is_err() => flat.push((path, text.clone())),
            value => flat.push((path, value.to_string())),
        }
    }
}

/// The settings that params came from.
pub fn unflatten<'a>(params: impl IntoIterator<Item = (&'a str, &'a str)>) -> anyhow::Result<Map<String, Value>> {
    let mut settings = Map::new();
    for (path, text) in params {
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        let mut keys = path.split('.').map(unescape).collect::<anyhow::Result<Vec<_>>>()?;
        let last = keys.pop().context("a path has no key")?;
        let mut inner = &mut settings;
        for key in keys {
            let next = inner.entry(key).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(next) = next else { bail!("{path:?} lies below a param that has a value") };
            inner = next;
        }
        if inner.insert(last, value).is_some() {
            bail!("{path:?} has a value, and params below it");
        }
    }
    Ok(settings)
}

fn escape(key: &str) -> String {
    if key.is_empty() {
        return EMPTY.to_owned();
    }
    let mut escaped = String::new();
    for c in key.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ') {
            escaped.push(c);
        } else {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| escaped.push_str(&format!(":{byte:02x}")));
        }
    }
    escaped
}

fn unescape(key: &str) -> anyhow::Result<String> {
    if key == EMPTY {
        return Ok(String::new());
    }
    let mut parts = key.split(':');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.with_context(|| format!("{key:?} was not flattened by us"))?);
        bytes.extend(part.as_bytes().iter().skip(2));
    }
    String::from_utf8(bytes).with_context(|| format!("{key:?} was not flattened by us"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn there_and_back(settings: &Value) -> Value {
        let flat = flatten(settings.as_object().unwrap());
        Value::Object(unflatten(flat.iter().map(|(key, value)| (key.as_str(), value.as_str()))).unwrap())
    }

    #[test]
    fn settings_stand_under_their_path_as_people_would_write_them() {
        let flat = flatten(json!({"opt": {"lr": 0.1, "name": "adam"}, "layers": [64, 32]}).as_object().unwrap());
        let expected = [("layers", "[64,32]"), ("opt.lr", "0.1"), ("opt.name", "adam")];
        let mut flat: Vec<_> = flat.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        flat.sort_unstable();
        assert_eq!(flat, expected);
    }

    #[test]
    fn nothing_is_lost_on_the_way() {
        for settings in [
            json!({}),
            json!({"a": {"b": {"c": {"d": 1}}}, "e": {}}),
            json!({"a.b": {"c": 1}, "a": {"b.c": 2}, "a:2eb": 3, "": {"": 4}, ":-": 5, "/": 6, ".": 7, "..": {".": 8}}),
            json!({"n": null, "t": true, "text": ["true", "null", "5", "\"5\"", "{}", "", " ", "0x1", "nan"]}),
            json!({"true": "true", "five": "5", "quoted": "\"5\"", "empty": "", "object": "{}", "list": [{"a.b": []}]}),
            json!({"ü ß": "é", "a@b#c": -0.5, "large": 1e300, "int": 9_007_199_254_740_993_u64}),
        ] {
            assert_eq!(there_and_back(&settings), settings);
        }
    }

    #[test]
    fn every_flattened_key_is_one_that_a_run_takes() {
        let odd: Map<String, Value> = ["", ".", "..", "/", "a/../b", "a\nb", "\u{0}", "💡", "a=b"]
            .iter()
            .map(|key| ((*key).to_owned(), json!({ *key: 1 })))
            .collect();
        for (key, _) in flatten(&odd) {
            assert!(key.parse::<cairn_experiments::model::entry::Key>().is_ok(), "{key:?}");
        }
    }

    #[test]
    fn params_that_were_never_nested_are_told_apart_where_they_contradict() {
        assert!(unflatten([("a", "1"), ("a.b", "2")]).is_err());
        assert!(unflatten([("a.b", "2"), ("a", "1")]).is_err());
        assert!(unflatten([("a:zz", "2")]).is_err());
    }
}
