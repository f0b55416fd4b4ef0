//! JSON objects as the contract has them, and back.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::Map;

/// An object in the contract's words. Its numbers are those of JavaScript.
pub fn structure(object: Map<String, serde_json::Value>) -> Struct {
    Struct { fields: object.into_iter().map(|(key, json)| (key, value(json))).collect() }
}

/// An object in ours. What no JSON can say, infinities, is null.
pub fn object(structure: Struct) -> Map<String, serde_json::Value> {
    structure.fields.into_iter().map(|(key, value)| (key, json(value))).collect()
}

fn value(json: serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(bool) => Kind::BoolValue(bool),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::StringValue(text),
        serde_json::Value::Array(values) => {
            Kind::ListValue(ListValue { values: values.into_iter().map(value).collect() })
        }
        serde_json::Value::Object(fields) => Kind::StructValue(structure(fields)),
    };
    Value { kind: Some(kind) }
}

fn json(value: Value) -> serde_json::Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(bool)) => bool.into(),
        Some(Kind::NumberValue(number)) => number.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json).collect(),
        Some(Kind::StructValue(structure)) => serde_json::Value::Object(object(structure)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_survives_its_way_through_the_contract() {
        let serde_json::Value::Object(fields) =
            json!({"a": [1.5, true, null, "x", {"b": {}}], "n": 3.0, "empty": [], "null": null})
        else {
            unreachable!()
        };
        assert_eq!(object(structure(fields.clone())), fields);
    }
}
