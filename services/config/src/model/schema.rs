use jsonschema::{PatternOptions, Validator};

use super::Json;

/// Longest schema, as JSON, in bytes.
pub const SCHEMA_BYTES_MAX: usize = 16 << 10;

/// What values must look like, ready to judge them.
pub struct Judge(Validator);

impl Judge {
    /// Reads a schema, or says what is wrong with it. Patterns take time in proportion to what they read, and no other
    /// document is ever fetched.
    pub fn read(schema: &Json) -> Result<Self, String> {
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        options.build(schema.value()).map(Self).map_err(|fault| fault.masked().to_string())
    }

    /// What is wrong with a value, and where in it; never the value itself.
    pub fn problem(&self, value: &Json) -> Option<String> {
        let fault = self.0.iter_errors(value.value()).next()?;
        let place = fault.instance_path().to_string();
        let problem = fault.masked().to_string();
        Some(if place.is_empty() { problem } else { format!("{place}: {problem}") })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judge(schema: Value) -> Judge {
        Judge::read(&schema.into()).unwrap()
    }

    #[test]
    fn a_value_is_judged_without_being_told() {
        let schema = judge(json!({"type": "object", "properties": {"size": {"type": "integer", "maximum": 10}}}));
        assert_eq!(schema.problem(&json!({"size": 3}).into()), None);
        for bad in [json!({"size": 11}), json!({"size": "canary"}), json!("canary")] {
            let problem = schema.problem(&bad.clone().into()).unwrap();
            assert!(!problem.contains("canary") && !problem.contains("11"), "{problem}");
        }
        assert!(schema.problem(&json!({"size": 11}).into()).unwrap().starts_with("/size: "));
    }

    #[test]
    fn what_is_no_schema_or_refers_elsewhere_is_refused() {
        for bad in [
            json!({"type": "whole number"}),
            json!(7),
            json!({"$ref": "https://example.org/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"pattern": "("}),
        ] {
            assert!(Judge::read(&bad.clone().into()).is_err(), "{bad}");
        }
        assert!(
            judge(json!({"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"}))
                .problem(&json!("x").into())
                .is_some()
        );
    }
}
