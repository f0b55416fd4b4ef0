//! `cairn authz`: why something was refused.

use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{Column, line};
use super::session::Session;

const EXPLAIN: &str = "auth.v1.AccessService/ExplainDecision";

const GRANTS: &[Column] = &[
    ("ROLE", "role"),
    ("ON", "resource"),
    ("HOLDS THE PERMISSION", "holds_permission"),
    ("COVERS THE RESOURCE", "covers_resource"),
    ("EXPIRED", "expired"),
    ("BINDING", "binding"),
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows what a refusal rests on: the question, the roles that were looked at, and the state of the rules.
    Explain {
        /// The `decision_id` that came with the refusal.
        id: String,
    },
}

pub async fn run(session: Session, Command::Explain { id }: Command) -> anyhow::Result<()> {
    let name = if id.contains('/') { id } else { format!("decisions/{id}") };
    let mut explained = session.call(EXPLAIN, json!({"name": name})).await?;
    if session.output.is_json {
        return session.output.json(&explained);
    }
    let grants = explained["grants"].take();
    let count = explained["grant_count"].as_i64().unwrap_or_default();
    if let Some(fields) = explained.as_object_mut() {
        fields.retain(|key, _| !matches!(key.as_str(), "grants" | "grant_count"));
    }
    session.output.one(&explained)?;
    let grants: Vec<Value> = grants.as_array().into_iter().flatten().map(plain).collect();
    line(&format!("\n{count} roles in all. Looked at:"))?;
    session.output.list(&grants, GRANTS)
}

/// A grant with what is false said, which the answer leaves out.
fn plain(grant: &Value) -> Value {
    let mut grant = grant.clone();
    for key in ["holds_permission", "covers_resource", "expired"] {
        grant[key] = json!(if grant[key] == true { "yes" } else { "no" });
    }
    grant
}
