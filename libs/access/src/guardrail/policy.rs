use cedar_policy::{Effect, Policy, PolicyId, PolicySet, ValidationMode};
use serde_json::Value;

use super::schema::validator;

/// Longest text of one policy.
pub const POLICY_BYTES_MAX: usize = 8 << 10;

/// What the table allows is allowed unless something forbids. No guardrail has a name like this.
const PERMITTING: &str = "permit(principal, action, resource);";

/// A set that forbids nothing yet.
pub(super) fn permitting() -> PolicySet {
    let policy = Policy::parse(Some(PolicyId::new("~")), PERMITTING).expect("the text is a policy");
    PolicySet::from_policies([policy]).expect("one policy has one id")
}

/// A stored policy. It was judged when it was stored, by the rules of then; what would give something is none.
pub(super) fn compile(name: &str, text: &str) -> Option<Policy> {
    let policy = Policy::parse(Some(PolicyId::new(name)), text).ok()?;
    (policy.effect() == Effect::Forbid).then_some(policy)
}

/// Everything that speaks against a policy as a guardrail; nothing: it is one.
pub fn check(text: &str) -> Vec<String> {
    if text.len() > POLICY_BYTES_MAX {
        return vec![format!("it is longer than {POLICY_BYTES_MAX} bytes")];
    }
    let policy = match Policy::parse(Some(PolicyId::new("guardrail")), text) {
        Ok(policy) => policy,
        Err(faults) => return faults.iter().map(ToString::to_string).collect(),
    };
    if policy.effect() != Effect::Forbid {
        return vec!["it permits: guardrails forbid, and roles give".to_owned()];
    }
    let mut problems = vec![];
    match policy.to_json() {
        Ok(json) if asks_whether_known(&json) => {
            problems.push("it asks with `has` whether a fact is known: what is not known forbids".to_owned());
        }
        Ok(_) => {}
        Err(fault) => problems.push(fault.to_string()),
    }
    let set = PolicySet::from_policies([policy]);
    let (Ok(set), Some(validator)) = (set, validator()) else {
        return vec!["it cannot be held against the contract of this program".to_owned()];
    };
    let found = validator.validate(&set, ValidationMode::Strict);
    problems.extend(found.validation_errors().map(ToString::to_string));
    // One that can never apply is a mistake that nobody would notice.
    problems.extend(found.validation_warnings().map(ToString::to_string));
    problems
}

/// Whether an expression tests if an attribute is there. Texts within it are not expressions.
fn asks_whether_known(json: &Value) -> bool {
    match json {
        Value::Object(fields) => fields.iter().any(|(key, value)| {
            key == "has" && value.get("left").is_some()
                || key != "Value" && key != "annotations" && asks_whether_known(value)
        }),
        Value::Array(items) => items.iter().any(asks_whether_known),
        _ => false,
    }
}
