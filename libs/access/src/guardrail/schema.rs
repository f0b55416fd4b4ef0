use std::fmt::Write;
use std::sync::LazyLock;

use cedar_policy::{Schema, Validator};

use super::{is_about_moving, words};

/// Of every decision.
const FACTS: &str = "
  // When, in UTC.
  time: datetime,
  // The day of the week in UTC: 1 for Monday to 7 for Sunday.
  weekday: Long,
  // The address that the request comes from.
  source: ipaddr,
  // How long ago the caller logged in. Not known of whoever comes with a key.
  login_age: duration,
";

/// Of decisions on what comes into use.
const MOVING: &str = "
  // The stages that versions move into.
  stages: Set<String>,
  // The aliases that are moved or taken away.
  aliases: Set<String>,
  // Who asked for it, and who registered the versions.
  authors: Set<String>,
  // Who has approved it so far.
  approvers: Set<String>,
  // How many must approve before it moves; 0 where nobody has to.
  approvals_required: Long,
";

const ENTITIES: &str = "
// organizations/{organization}/groups/{group}
entity Group;
// users/{user}
entity User in [Group] { name: String };
// serviceAccounts/{service_account}
entity ServiceAccount in [Group] { name: String };
// Whatever a right is used on. It is in everything that its name begins with, and in the organization it belongs to.
entity Resource in [Resource] { name: String };

// All that guardrails are asked about.
action \"guarded\";
// Those of them that bring something into use.
action \"moves\" in [\"guarded\"];
";

/// What policies may be about, as Cedar writes it: the rights that the contract marks, and the facts of a decision.
///
/// Every fact is required, so that a policy need not ask whether it is there, and cannot be passed by not telling it.
pub fn schema() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut text = format!("type Facts = {{{FACTS}}};\ntype MovingFacts = {{{FACTS}{MOVING}}};\n{ENTITIES}");
        for word in words().keys() {
            let (group, facts) = if is_about_moving(word) { ("moves", "MovingFacts") } else { ("guarded", "Facts") };
            let _ = write!(
                text,
                "action \"{word}\" in [\"{group}\"] appliesTo {{\n  principal: [User, ServiceAccount], resource: Resource, \
                 context: {facts}\n}};\n"
            );
        }
        text
    });
    &TEXT
}

pub(super) fn validator() -> Option<&'static Validator> {
    static VALIDATOR: LazyLock<Option<Validator>> = LazyLock::new(|| {
        let (schema, _) = Schema::from_cedarschema_str(schema()).ok()?;
        Some(Validator::new(schema))
    });
    VALIDATOR.as_ref()
}
