//! A value here is a text, and in Vault an object of fields.

use serde_json::{Map, Value};

/// The one field of a value that is no object.
const FIELD: &str = "value";

/// The fields of a value: those of the object that it is as JSON, else one field with the whole.
pub fn as_data(value: &str) -> Value {
    match serde_json::from_str(value) {
        Ok(Value::Object(fields)) => Value::Object(fields),
        _ => Value::Object(Map::from_iter([(FIELD.to_owned(), Value::from(value))])),
    }
}

/// The value of fields. One field with a text is that text, so that others read it as it is; but not where it would come
/// back as something else.
pub fn as_value(fields: &Map<String, Value>) -> String {
    if let (1, Some(Value::String(text))) = (fields.len(), fields.get(FIELD))
        && !text.is_empty()
        && !matches!(serde_json::from_str(text), Ok(Value::Object(_)))
    {
        return text.clone();
    }
    serde_json::to_string(fields).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn comes_back(fields: Value) -> String {
        let value = as_value(fields.as_object().unwrap());
        assert_eq!(as_data(&value), fields, "{value}");
        value
    }

    #[test]
    fn fields_come_back_as_they_were_written() {
        assert_eq!(comes_back(json!({ "value": "s3cret" })), "s3cret");
        let several = json!({ "user": "ada", "port": 5432 });
        assert_eq!(comes_back(several.clone()).parse::<Value>().unwrap(), several);
        for fields in [
            json!({}),
            json!({ "value": "" }),
            json!({ "value": "{}" }),
            json!({ "value": "{\"a\":1}" }),
            json!({ "value": "[1]" }),
            json!({ "value": 7 }),
            json!({ "value": { "deep": [null, true] } }),
        ] {
            comes_back(fields);
        }
        assert_eq!(as_data("a text of others"), json!({ "value": "a text of others" }));
        assert_eq!(as_data("[1]"), json!({ "value": "[1]" }));
    }

    proptest! {
        #[test]
        fn whatever_the_text(text in ".*") {
            comes_back(json!({ "value": text }));
        }
    }
}
