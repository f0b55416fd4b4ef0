//! Which rule a token falls under. Pure.

use serde_json::{Map, Value};

use crate::logins::Rule;
use crate::oidc::find_claim;

/// Whether a token says all that a rule wants, exactly.
pub fn fits(rule: &Rule, claims: &Map<String, Value>) -> bool {
    !rule.claims.is_empty() && rule.claims.iter().all(|(claim, wanted)| says(find_claim(claims, claim), wanted))
}

/// Text says itself, a number or a truth value what it is written as, and a list each of its elements. Nothing else says
/// anything: no pattern, no prefix.
fn says(value: Option<&Value>, wanted: &str) -> bool {
    match value {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Number(number)) => number.to_string() == wanted,
        Some(Value::Bool(truth)) => truth.to_string() == wanted,
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(wanted)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits_with(wanted: &[(&str, &str)], claims: Value) -> bool {
        let claims_of = wanted.iter().map(|(claim, value)| ((*claim).to_owned(), (*value).to_owned()));
        let rule = Rule { claims: claims_of.collect(), ..Rule::default() };
        fits(&rule, claims.as_object().unwrap())
    }

    #[test]
    fn a_rule_is_met_by_every_claim_exactly_and_by_nothing_less() {
        let token = json!({"sub": "repo:acme/app:ref:refs/heads/main", "environment": "prod", "run_attempt": 1,
            "groups": ["a", "b"], "kubernetes.io": {"namespace": "ml"}, "protected": true});
        for wanted in [
            vec![("sub", "repo:acme/app:ref:refs/heads/main")],
            vec![("environment", "prod"), ("run_attempt", "1")],
            vec![("groups", "b")],
            vec![("protected", "true")],
        ] {
            assert!(fits_with(&wanted, token.clone()), "{wanted:?}");
        }
        for wanted in [
            vec![],
            vec![("sub", "repo:acme/app:ref:refs/heads/*")],
            vec![("sub", "repo:acme/app")],
            vec![("environment", "prod"), ("missing", "x")],
            vec![("environment", "Prod")],
            vec![("kubernetes.io", "ml")],
            vec![("groups", "a b")],
        ] {
            assert!(!fits_with(&wanted, token.clone()), "{wanted:?}");
        }
    }
}
