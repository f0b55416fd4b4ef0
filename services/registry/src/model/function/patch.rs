use serde_json::{Map, Value};

/// A JSON merge patch (RFC 7396) carried out: objects are merged, null removes, and anything else replaces.
pub fn merged(target: Value, patch: Value) -> Value {
    let Value::Object(changes) = patch else { return patch };
    let mut fields = match target {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    for (key, change) in changes {
        if change.is_null() {
            fields.remove(&key);
            continue;
        }
        let before = fields.remove(&key).unwrap_or(Value::Null);
        fields.insert(key, merged(before, change));
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::merged;
    use serde_json::{Value, json};

    /// The examples of the standard's appendix A.
    #[test]
    fn a_merge_patch_does_what_its_standard_shows() {
        let cases: Vec<(Value, Value, Value)> = vec![
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ];
        for (target, patch, expected) in cases {
            assert_eq!(merged(target.clone(), patch.clone()), expected, "{target} and {patch}");
        }
    }
}
