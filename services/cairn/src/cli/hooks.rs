//! `cairn hooks`: what must agree before something happens to a model, and who is told after it has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::models::full_name;
use super::output::Column;
use super::session::{Items, Session, given};

const SERVICE: &str = "registry.v1.HookService";

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("TIMING", "timing"),
    ("TRIGGERS", "triggers"),
    ("MODEL", "model"),
    ("DOES", "does"),
    ("ENABLED", "enabled"),
    ("BY", "creator"),
];

const DELIVERY_COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("TRIGGER", "trigger"),
    ("MODEL", "model"),
    ("STATE", "state"),
    ("ATTEMPTS", "attempt_count"),
    ("STATUS", "response_status"),
    ("ERROR", "error"),
    ("HAPPENED", "event_time"),
];

/// In which shape a webhook is told.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    Cairn,
    Mlflow,
    Slack,
}

/// What counts when there is no answer.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Failure {
    Open,
    Closed,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a hook.
    Create(Box<Create>),
    /// Lists the hooks of the project.
    List,
    /// Shows a hook. Its address and its secret are never told.
    Get {
        /// Its id, or full name.
        hook: String,
    },
    /// Puts a hook in force.
    Enable {
        /// Its id, or full name.
        hook: String,
    },
    /// Takes a hook out of force.
    Disable {
        /// Its id, or full name.
        hook: String,
    },
    /// Deletes a hook, and what was still to be delivered for it.
    Delete {
        /// Its id, or full name.
        hook: String,
    },
    /// Tries a hook with an example, or with a version that there is, and changes nothing.
    Test {
        /// Its id, or full name.
        hook: String,
        /// Full name of a version to try it with.
        #[arg(long, value_name = "VERSION")]
        with: Option<String>,
    },
    /// Lists what was or is to be delivered for a hook, newest first.
    Deliveries {
        /// The hook's id, or full name.
        hook: String,
        /// Only the dead letters: what was given up.
        #[arg(long)]
        dead: bool,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Delivers a dead letter after all.
    Retry {
        /// Full name of the delivery.
        delivery: String,
    },
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("when").required(true).args(["before", "after"])))]
#[command(group(ArgGroup::new("does").required(true).args(["expression", "address", "address_file"])))]
pub struct Create {
    /// Its id.
    hook: String,
    /// It may refuse what is about to happen.
    #[arg(long)]
    before: bool,
    /// It is told of what has happened.
    #[arg(long)]
    after: bool,
    /// What it is about: `version-create`, `stage-move`, `alias-set`, `model-create`, `promotion-complete`, … Any number of
    /// times.
    #[arg(long = "on", value_name = "TRIGGER")]
    triggers: Vec<String>,
    /// The one model it is about, by id or full name. None: all.
    #[arg(long)]
    model: Option<String>,
    /// In CEL, what must be true: `version.metrics.accuracy >= 0.8`.
    #[arg(long, value_name = "CEL")]
    expression: Option<String>,
    /// What who is refused is told.
    #[arg(long, default_value = "", requires = "expression")]
    message: String,
    /// The address of a program that is asked or told. Other users of the machine can read it here: one that is a
    /// credential, as Slack's are, belongs in a file.
    #[arg(long)]
    address: Option<String>,
    /// File that holds the address.
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
    /// In which shape it is told.
    #[arg(long, value_enum, default_value = "cairn")]
    format: Format,
    /// File that holds what requests are signed with.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How long one request may take: `2s`.
    #[arg(long, value_parser = humantime::parse_duration)]
    deadline: Option<Duration>,
    /// What counts when a program that is asked gives no answer.
    #[arg(long, value_enum, value_name = "HOW")]
    fail: Option<Failure>,
    /// What of MLflow's events it is told: `model_version.created`. Any number of times.
    #[arg(long = "mlflow-event", value_name = "EVENT")]
    mlflow_events: Vec<String>,
    /// Notes for people.
    #[arg(long, default_value = "")]
    description: String,
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let act = async |method: &str, done: &str, hook: &str| {
        let name = name(&session, hook);
        let answer = session.call(&format!("{SERVICE}/{method}"), json!({"name": name})).await?;
        session.output.done(&format!("{done} {name}"), &answer)
    };
    match command {
        Command::Create(create) => {
            let request = create.request(&session)?;
            let made = session.call(&format!("{SERVICE}/CreateHook"), request).await?;
            let (name, digest) = (&made["name"], &made["digest"]);
            let sentence =
                format!("made {} ({})", name.as_str().unwrap_or_default(), digest.as_str().unwrap_or_default());
            session.output.done(&sentence, &made)
        }
        Command::List => {
            let items = Items::new(COLUMNS).with(summarize);
            session.show(&format!("{SERVICE}/ListHooks"), json!({"parent": session.project()}), items, 1000).await
        }
        Command::Get { hook } => {
            let request = json!({"name": name(&session, &hook)});
            session.output.one(&session.call(&format!("{SERVICE}/GetHook"), request).await?)
        }
        Command::Enable { hook } => act("EnableHook", "enabled", &hook).await,
        Command::Disable { hook } => act("DisableHook", "disabled", &hook).await,
        Command::Delete { hook } => act("DeleteHook", "deleted", &hook).await,
        Command::Test { hook, with } => {
            let request = given(json!({"name": name(&session, &hook), "version": with}));
            let came = session.call(&format!("{SERVICE}/TestHook"), request).await?;
            let sentence = match came["success"].as_bool() {
                Some(true) => "it agrees".to_owned(),
                _ => format!("it does not agree: {}", came["error_message"].as_str().unwrap_or_default()),
            };
            session.output.done(&sentence, &came)
        }
        Command::Deliveries { hook, dead, limit } => {
            let state = dead.then_some("HOOK_DELIVERY_STATE_DEAD");
            let request = given(json!({"parent": name(&session, &hook), "state": state}));
            let items = Items::new(DELIVERY_COLUMNS).with(summarize_delivery);
            session.show(&format!("{SERVICE}/ListHookDeliveries"), request, items, limit).await
        }
        Command::Retry { delivery } => {
            let answer = session.call(&format!("{SERVICE}/RetryHookDelivery"), json!({"name": delivery})).await?;
            session.output.done(&format!("waits again: {delivery}"), &answer)
        }
    }
}

impl Create {
    fn request(self, session: &Session) -> anyhow::Result<Value> {
        let triggers = self.triggers.iter().map(|text| format!("HOOK_TRIGGER_{}", word(text)));
        let mut hook = json!({
            "description": self.description,
            "timing": if self.before { "HOOK_TIMING_BEFORE" } else { "HOOK_TIMING_AFTER" },
            "triggers": triggers.collect::<Vec<_>>(),
        });
        if let Some(model) = &self.model {
            hook["model"] = json!(full_name(session, model));
        }
        match self.expression {
            Some(expression) => hook["expression"] = json!({"expression": expression, "message": self.message}),
            None => {
                let address = match &self.address_file {
                    Some(file) => Some(content(file)?),
                    None => self.address,
                };
                let failure = self.fail.map(|fail| match fail {
                    Failure::Open => "HOOK_FAILURE_MODE_OPEN",
                    Failure::Closed => "HOOK_FAILURE_MODE_CLOSED",
                });
                let format = match self.format {
                    Format::Cairn => "HOOK_FORMAT_CAIRN",
                    Format::Mlflow => "HOOK_FORMAT_MLFLOW",
                    Format::Slack => "HOOK_FORMAT_SLACK",
                };
                hook["webhook"] = given(json!({
                    "url": address, "format": format, "failure_mode": failure, "mlflow_events": self.mlflow_events,
                    "secret": self.secret_file.as_deref().map(content).transpose()?,
                    "deadline": self.deadline.map(|deadline| format!("{}s", deadline.as_secs_f64())),
                }));
            }
        }
        Ok(json!({"parent": session.project(), "hook_id": self.hook, "hook": hook}))
    }
}

/// What a file holds, without the end of its line.
fn content(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    match text.trim() {
        "" => bail!("{} is empty", file.display()),
        text => Ok(text.to_owned()),
    }
}

fn name(session: &Session, hook: &str) -> String {
    if hook.contains('/') { hook.to_owned() } else { format!("{}/hooks/{hook}", session.project()) }
}

/// `version-create` as the contract spells it.
fn word(text: &str) -> String {
    text.to_uppercase().replace('-', "_")
}

fn summarize(hook: &mut Value) {
    let short =
        |value: &Value, prefix: &str| value.as_str().unwrap_or_default().trim_start_matches(prefix).to_lowercase();
    let triggers = hook["triggers"].as_array().into_iter().flatten().map(|trigger| short(trigger, "HOOK_TRIGGER_"));
    let triggers = triggers.collect::<Vec<_>>().join(", ");
    let does = match hook["expression"]["expression"].as_str() {
        Some(expression) => expression.to_owned(),
        None => {
            let webhook = &hook["webhook"];
            format!(
                "{} as {}",
                webhook["origin"].as_str().unwrap_or_default(),
                short(&webhook["format"], "HOOK_FORMAT_")
            )
        }
    };
    hook["timing"] = json!(short(&hook["timing"], "HOOK_TIMING_"));
    hook["triggers"] = json!(triggers);
    hook["does"] = json!(does);
}

fn summarize_delivery(delivery: &mut Value) {
    for (field, prefix) in [("trigger", "HOOK_TRIGGER_"), ("state", "HOOK_DELIVERY_STATE_")] {
        let text = delivery[field].as_str().unwrap_or_default().trim_start_matches(prefix).to_lowercase();
        delivery[field] = json!(text);
    }
}
