//! `cairn promotions`: versions come into use by more than one person's word.

use cairn_client::Fault;
use clap::Subcommand;
use serde_json::{Value, json};

use super::models::full_name;
use super::output::Column;
use super::policies;
use super::session::{Items, Session};

const SERVICE: &str = "registry.v1.PromotionService";

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("STATE", "state"),
    ("MOVES", "moves"),
    ("REQUESTER", "requester"),
    ("UNMET", "unmet_conditions"),
    ("CREATED", "create_time"),
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the promotions of a model, newest first.
    List {
        /// The model's id, or full name.
        model: String,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Asks that a version takes an alias or a stage.
    Create {
        /// The model's id, or full name.
        model: String,
        /// The version's number.
        number: u32,
        /// The alias it takes.
        #[arg(long, required_unless_present = "stage", conflicts_with = "stage")]
        alias: Option<String>,
        /// The stage it takes: `staging`, `production`, `archived`.
        #[arg(long)]
        stage: Option<String>,
        /// Why.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Shows a promotion, with what it still lacks.
    Get {
        /// Its full name.
        promotion: String,
    },
    /// Approves it. Never your own.
    Approve {
        /// Its full name.
        promotion: String,
        /// Why.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Rejects it.
    Reject {
        /// Its full name.
        promotion: String,
        /// Why.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Takes your own back.
    Withdraw {
        /// Its full name.
        promotion: String,
        /// Why.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Carries it out, once its calm period is over or a signature counts again.
    Complete {
        /// Its full name.
        promotion: String,
    },
    /// What promotions need.
    #[command(subcommand)]
    Policy(policies::Command),
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let act = async |method: &str, done: &str, promotion: String, comment: Option<String>| {
        let mut request = json!({"name": promotion});
        if let Some(comment) = comment {
            request["comment"] = json!(comment);
        }
        let answer = session.call(&format!("{SERVICE}/{method}"), request).await?;
        session.output.done(&format!("{done} {promotion}: {}", standing(&answer)), &answer)
    };
    match command {
        Command::List { model, limit } => {
            let items = Items::new(COLUMNS).with(summarize);
            let request = json!({"parent": full_name(&session, &model)});
            session.show(&format!("{SERVICE}/ListPromotions"), request, items, limit).await
        }
        Command::Create { model, number, alias, stage, comment } => {
            let mut step = json!({"version": number});
            match (alias, stage) {
                (Some(alias), _) => step["alias"] = json!(alias),
                (None, Some(stage)) => step["stage"] = json!(format!("STAGE_{}", stage.to_uppercase())),
                (None, None) => return Err(Fault::Invalid("an alias or a stage must be given".to_owned()).into()),
            }
            let request = json!({"parent": full_name(&session, &model), "moves": [step], "comment": comment});
            let made = session.call(&format!("{SERVICE}/CreatePromotion"), request).await?;
            let name = made["name"].as_str().unwrap_or_default();
            session.output.done(&format!("asked for {name}: {}", standing(&made)), &made)
        }
        Command::Get { promotion } => {
            session.output.one(&session.call(&format!("{SERVICE}/GetPromotion"), json!({"name": promotion})).await?)
        }
        Command::Approve { promotion, comment } => act("ApprovePromotion", "approved", promotion, Some(comment)).await,
        Command::Reject { promotion, comment } => act("RejectPromotion", "rejected", promotion, Some(comment)).await,
        Command::Withdraw { promotion, comment } => {
            act("WithdrawPromotion", "withdrew", promotion, Some(comment)).await
        }
        Command::Policy(command) => policies::run(session, command).await,
        Command::Complete { promotion } => act("CompletePromotion", "completed", promotion, None).await,
    }
}

/// Where it stands, and what it lacks.
fn standing(promotion: &Value) -> String {
    let state = promotion["state"].as_str().unwrap_or_default().trim_start_matches("PROMOTION_STATE_").to_lowercase();
    match unmet(promotion) {
        unmet if unmet.is_empty() => state,
        unmet => format!("{state}, lacks {unmet}"),
    }
}

fn unmet(promotion: &Value) -> String {
    let conditions = promotion["unmet_conditions"].as_array().into_iter().flatten();
    conditions.filter_map(|condition| condition["message"].as_str()).collect::<Vec<_>>().join("; ")
}

fn summarize(promotion: &mut Value) {
    let moves = promotion["moves"].as_array().into_iter().flatten().map(|step| {
        let target = step["alias"].as_str().or(step["stage"].as_str()).unwrap_or_default();
        format!("{} to {}", step["version"], target.trim_start_matches("STAGE_").to_lowercase())
    });
    promotion["moves"] = json!(moves.collect::<Vec<_>>().join(", "));
    promotion["unmet_conditions"] = json!(unmet(promotion));
}
