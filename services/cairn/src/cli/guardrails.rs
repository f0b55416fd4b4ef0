//! `cairn guardrails`: what an organization forbids, whatever roles give.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::exit::Refuted;
use super::organizations;
use super::output::{Column, line};
use super::session::{Items, Session, given};

const SERVICE: &str = "auth.v1.GuardrailService";

const COLUMNS: &[Column] =
    &[("NAME", "name"), ("TEMPLATE", "template"), ("DESCRIPTION", "description"), ("CHANGED", "update_time")];

#[derive(Debug, clap::Args)]
pub struct Command {
    /// The organization that bare ids belong to.
    #[arg(long, global = true, env = "CAIRN_ORGANIZATION", hide_env_values = true, default_value = "default")]
    organization: String,

    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Lists the guardrails of the organization.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Forbids something from now on.
    Create {
        /// Its id: lower-case letters, digits and dashes. Never used again.
        id: String,
        /// Why.
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        source: Source,
    },
    /// Shows a guardrail.
    Get {
        /// Its id, or full name.
        id: String,
    },
    /// Forbids something else, or says otherwise why.
    Update {
        /// Its id, or full name.
        id: String,
        /// Why.
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        source: Source,
    },
    /// Forbids no longer what a guardrail forbade.
    Delete {
        /// Its id, or full name.
        id: String,
    },
    /// Says everything that speaks against a guardrail, and shows the policy that it comes to. Changes nothing.
    Validate {
        #[command(flatten)]
        source: Source,
    },
    /// Prints what policies may be about: a schema as Cedar writes it.
    Schema,
}

/// What a guardrail forbids.
#[derive(Debug, clap::Args)]
struct Source {
    /// A file with the policy, in Cedar.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["template", "parameters"])]
    policy: Option<PathBuf>,
    /// One that comes with Cairn: freeze-window, approver-not-author, approvals, source-network or fresh-login.
    #[arg(long)]
    template: Option<String>,
    /// A parameter of the template: `start=18:00`. Any number of times.
    #[arg(long = "set", value_name = "PARAMETER=VALUE")]
    parameters: Vec<String>,
}

impl Source {
    /// As the contract has it.
    fn fields(&self) -> anyhow::Result<Value> {
        let policy = self.policy.as_ref();
        let policy =
            policy.map(|file| std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display())));
        let parameters: Map<String, Value> = parameters(&self.parameters)?;
        let parameters = (!parameters.is_empty()).then_some(parameters);
        Ok(json!({"policy": policy.transpose()?, "template": self.template, "parameters": parameters}))
    }
}

/// Parameters as they are written on the command line.
pub fn parameters(texts: &[String]) -> anyhow::Result<Map<String, Value>> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').with_context(|| format!("{text}: write PARAMETER=VALUE"))?;
        Ok((key.to_owned(), json!(value)))
    };
    texts.iter().map(pair).collect()
}

pub async fn run(session: Session, Command { organization, act }: Command) -> anyhow::Result<()> {
    let call = async |method: &str, request: Value| session.call(&format!("{SERVICE}/{method}"), request).await;
    let parent = organizations::name(&organization);
    let name = |id: &str| if id.contains('/') { id.to_owned() } else { format!("{parent}/guardrails/{id}") };
    match act {
        Act::List { limit } => {
            session
                .show(&format!("{SERVICE}/ListGuardrails"), json!({"parent": parent}), Items::new(COLUMNS), limit)
                .await
        }
        Act::Create { id, description, source } => {
            let mut guardrail = source.fields()?;
            guardrail["description"] = json!(description);
            let request = json!({"parent": parent, "guardrail_id": id, "guardrail": given(guardrail)});
            let made = call("CreateGuardrail", request).await?;
            session.output.done(&format!("created {}", name(&id)), &made)
        }
        Act::Get { id } => session.output.one(&call("GetGuardrail", json!({"name": name(&id)})).await?),
        Act::Update { id, description, source } => {
            let mut guardrail = source.fields()?;
            guardrail["name"] = json!(name(&id));
            guardrail["description"] = json!(description);
            let changed = call("UpdateGuardrail", json!({"guardrail": given(guardrail)})).await?;
            session.output.done(&format!("changed {}", name(&id)), &changed)
        }
        Act::Delete { id } => {
            let gone = call("DeleteGuardrail", json!({"name": name(&id)})).await?;
            session.output.done(&format!("deleted {}", name(&id)), &gone)
        }
        Act::Validate { source } => {
            let mut request = source.fields()?;
            request["parent"] = json!(parent);
            let told = call("ValidateGuardrail", given(request)).await?;
            if session.output.is_json {
                session.output.json(&told)?;
            } else {
                line(told["policy"].as_str().unwrap_or_default())?;
                for problem in told["problems"].as_array().into_iter().flatten() {
                    line(&format!("- {}", problem.as_str().unwrap_or_default()))?;
                }
            }
            if told["valid"] == true { Ok(()) } else { Err(Refuted("it cannot be a guardrail".to_owned()).into()) }
        }
        Act::Schema => {
            let told = call("ValidateGuardrail", json!({"parent": parent})).await?;
            line(told["schema"].as_str().unwrap_or_default())
        }
    }
}
