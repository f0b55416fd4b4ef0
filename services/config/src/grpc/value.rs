//! JSON as messages have it, and as we have it.

use std::collections::BTreeMap;

use cairn_service::{Refusal, refuse};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as Sent};
use serde_json::{Map, Number, Value};
use tonic::Status;

use crate::model::Json;

/// Levels of lists and objects within each other.
const DEPTH_MAX: usize = 32;
/// Whole numbers up to here are exact in a message, which holds them as floating-point numbers.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// A value that a request cannot do without.
pub fn given(field: &'static str, sent: Option<Sent>) -> Result<Json, Status> {
    let sent = sent.ok_or_else(|| refuse(Refusal::invalid(field, "is missing; for null, say null")))?;
    read(sent, 0).map(Json::from).map_err(|problem| refuse(Refusal::invalid(field, problem)))
}

fn read(sent: Sent, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("has more than {DEPTH_MAX} levels"));
    }
    Ok(match sent.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(is_true)) => Value::Bool(is_true),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::NumberValue(number)) => Value::Number(number_of(number)?),
        Some(Kind::ListValue(list)) => {
            Value::Array(list.values.into_iter().map(|value| read(value, depth + 1)).collect::<Result<_, _>>()?)
        }
        Some(Kind::StructValue(fields)) => {
            let field = |(name, value)| Ok((name, read(value, depth + 1)?));
            Value::Object(fields.fields.into_iter().map(field).collect::<Result<Map<_, _>, String>>()?)
        }
    })
}

/// A whole number stays one, so that it is written and judged as one.
fn number_of(number: f64) -> Result<Number, String> {
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return Ok(Number::from(number as i64));
    }
    if number.fract() == 0.0 && number.abs() < 1e21 {
        return Err("holds a whole number beyond 2^53, which JSON readers change: write it as text".to_owned());
    }
    Number::from_f64(number).ok_or_else(|| "holds a number that is none".to_owned())
}

/// A value as an answer has it.
pub fn shown(value: &Value) -> Sent {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(is_true) => Kind::BoolValue(*is_true),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => Kind::ListValue(ListValue { values: values.iter().map(shown).collect() }),
        Value::Object(fields) => {
            let fields: BTreeMap<String, Sent> =
                fields.iter().map(|(name, value)| (name.clone(), shown(value))).collect();
            Kind::StructValue(Struct { fields })
        }
    };
    Sent { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_sent_comes_back_and_whole_numbers_stay_whole() {
        let value = json!({"a": [1, 2.5, "x", null, true], "b": {"c": -3}});
        assert_eq!(given("value", Some(shown(&value))).unwrap().text(), value.to_string());
        let number = |number| given("value", Some(Sent { kind: Some(Kind::NumberValue(number)) }));
        assert_eq!(number(9_007_199_254_740_991.0).unwrap().text(), "9007199254740991");
        for bad in [9_007_199_254_740_994.0, f64::NAN, f64::INFINITY] {
            assert!(number(bad).is_err(), "{bad}");
        }
        assert!(given("value", None).is_err());
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert!(given("value", Some(shown(&deep))).is_err());
    }
}
