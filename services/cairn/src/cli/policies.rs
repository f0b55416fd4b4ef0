//! `cairn promotions policy`: what promotions need.

use clap::Subcommand;
use serde_json::{Value, json};

use super::models::full_name;
use super::session::{Session, given};

const SERVICE: &str = "registry.v1.PromotionService";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows the policy of the project, or of one of its models.
    Get {
        /// The model's id, or full name. None: the project's own policy.
        model: Option<String>,
    },
    /// Sets it as a whole. Promotions that wait become void: they were asked for under another one.
    Set {
        /// The model's id, or full name. None: the project, for all models without a policy of their own.
        model: Option<String>,
        /// An alias that only a promotion moves. Any number of times.
        #[arg(long = "protect-alias", value_name = "ALIAS")]
        aliases: Vec<String>,
        /// A stage that only a promotion moves versions into or out of: `staging`, `production`. Any number of times.
        #[arg(long = "protect-stage", value_name = "STAGE")]
        stages: Vec<String>,
        /// How many must approve, beside who asks.
        #[arg(long, default_value_t = 1)]
        approvals: u32,
        /// A role whose holders approve. Any number of times; none: managers and administrators.
        #[arg(long = "approver-role", value_name = "ROLE")]
        roles: Vec<String>,
        /// What a metric of the version must be at least: `accuracy=0.9`. Any number of times.
        #[arg(long = "min", value_name = "METRIC=VALUE", value_parser = threshold)]
        least: Vec<(String, f64)>,
        /// What a metric of the version must be at most. Any number of times.
        #[arg(long = "max", value_name = "METRIC=VALUE", value_parser = threshold)]
        most: Vec<(String, f64)>,
        /// Move only versions that are signed by a key that a signing policy trusts then.
        #[arg(long)]
        require_signature: bool,
        /// How long nothing moves after it was asked for: `1h`.
        #[arg(long, value_parser = humantime::parse_duration)]
        calm_period: Option<std::time::Duration>,
        /// Let service accounts approve too.
        #[arg(long)]
        programs_approve: bool,
    },
}

fn threshold(text: &str) -> Result<(String, f64), String> {
    let (metric, value) = text.split_once('=').ok_or("must be METRIC=VALUE")?;
    value.parse().map(|value| (metric.to_owned(), value)).map_err(|_| format!("{value:?} is no number"))
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Get { model } => {
            let request = json!({"name": name(&session, model.as_deref())});
            session.output.one(&session.call(&format!("{SERVICE}/GetPromotionPolicy"), request).await?)
        }
        Command::Set {
            model,
            aliases,
            stages,
            approvals,
            roles,
            least,
            most,
            require_signature,
            calm_period,
            programs_approve,
        } => {
            let stages: Vec<String> = stages.iter().map(|stage| format!("STAGE_{}", stage.to_uppercase())).collect();
            let least = least.into_iter().map(|(metric, min)| json!({"metric": metric, "min": min}));
            let most = most.into_iter().map(|(metric, max)| json!({"metric": metric, "max": max}));
            let terms = given(json!({
                "protected_aliases": aliases, "protected_stages": stages, "approvals_required": approvals,
                "approver_roles": roles, "metric_thresholds": least.chain(most).collect::<Vec<Value>>(),
                "calm_period": calm_period.map(|period| format!("{}s", period.as_secs())),
                "service_accounts_may_approve": programs_approve,
                "trusted_signature_required": require_signature,
            }));
            let name = name(&session, model.as_deref());
            let request = json!({"promotion_policy": {"name": name, "terms": terms}, "update_mask": "terms"});
            let set = session.call(&format!("{SERVICE}/UpdatePromotionPolicy"), request).await?;
            session.output.done(&format!("set {name}"), &set)
        }
    }
}

fn name(session: &Session, model: Option<&str>) -> String {
    let scope = model.map_or_else(|| session.project(), |model| full_name(session, model));
    format!("{scope}/promotionPolicies/default")
}
