//! What the machine answers fits what the description says.

use cairn_contract::Contract;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::{Value, json};

use super::page;
use crate::fixtures::sample;

/// Where and how a value does not fit a schema, in the words of the schema that the generator uses.
fn misfits(api: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = api.pointer(reference.trim_start_matches('#')).unwrap();
        return misfits(api, schema, value, at, found);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &&Value| {
            let mut faults = vec![];
            misfits(api, choice, value, at, &mut faults);
            faults.is_empty()
        };
        if choices.iter().filter(fits).count() != 1 {
            found.push(format!("{at}: {value} fits not exactly one choice"));
        }
        return;
    }
    let is_of_type = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(other) => panic!("{other} is no type of ours"),
    };
    let is_listed = schema["enum"].as_array().is_none_or(|values| values.contains(value));
    let is_in_range = value.as_f64().is_none_or(|number| {
        schema["minimum"].as_f64().is_none_or(|least| number >= least)
            && schema["maximum"].as_f64().is_none_or(|most| number <= most)
    });
    if !is_of_type || !is_listed || !is_in_range {
        found.push(format!("{at}: {value} does not fit {schema}"));
    }
    for (at_item, item) in value.as_array().into_iter().flatten().enumerate() {
        misfits(api, &schema["items"], item, &format!("{at}[{at_item}]"), found);
    }
    for (name, entry) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => found.push(format!("{at} is not described")),
            (Value::Null, Value::Null | Value::Bool(true)) => {}
            (Value::Null, others) => misfits(api, others, entry, &at, found),
            (property, _) => misfits(api, property, entry, &at, found),
        }
    }
}

#[test]
fn answers_fit_their_schema_in_every_dialect() {
    let contract = Contract::embedded().unwrap();
    let api: Value = serde_json::from_str(&page(contract)).unwrap();
    let mut found = vec![];
    let mut count = 0;
    for (path, operations) in api["paths"].as_object().unwrap() {
        for operation in operations.as_object().unwrap().values() {
            let method = contract.method(&format!("/{}", operation["x-cairn"]["method"].as_str().unwrap())).unwrap();
            let told = ["200", "201"].map(|status| &operation["responses"][status]["content"]);
            // What is told with 204 has no content to fit anything.
            let Some(content) = told.into_iter().find_map(Value::as_object) else {
                assert!(operation["responses"]["204"].is_object(), "{path} is told with nothing");
                continue;
            };
            let holder = content.values().next().unwrap();
            let Some(schema) = holder.get("x-item").or(holder.get("schema")) else { continue };
            let is_native = super::is_native(method);
            let options = SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(is_native);
            for message in
                [DynamicMessage::new(method.output()), sample(&method.output(), 0, 4), sample(&method.output(), 1, 4)]
            {
                let json = message.serialize_with_options(serde_json::value::Serializer, &options).unwrap();
                misfits(&api, schema, &json, path, &mut found);
                count += 1;
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(count > 0);
}

#[test]
fn a_misfit_is_found() {
    let schema = json!({ "type": "object", "additionalProperties": false, "properties": {
        "n": { "type": "integer", "maximum": 3 }, "e": { "type": "string", "enum": ["A"] },
        "l": { "type": "array", "items": { "type": "boolean" } },
        "f": { "oneOf": [{ "type": "number" }, { "type": "string", "enum": ["NaN"] }] },
        "m": { "type": "object", "additionalProperties": { "type": "string" } },
    } });
    let mut none = vec![];
    let fits = json!({ "n": 3, "e": "A", "l": [true], "f": "NaN", "m": { "x": "y" } });
    misfits(&json!({}), &schema, &fits, "", &mut none);
    assert_eq!(none, [""; 0]);
    for misfit in [
        json!({ "x": 1 }),
        json!({ "n": 4 }),
        json!({ "n": "1" }),
        json!({ "e": "B" }),
        json!({ "l": [1] }),
        json!({ "f": "x" }),
        json!({ "m": { "x": 1 } }),
        json!([]),
    ] {
        let mut found = vec![];
        misfits(&json!({}), &schema, &misfit, "", &mut found);
        assert_eq!(found.len(), 1, "{misfit}: {found:?}");
    }
}
