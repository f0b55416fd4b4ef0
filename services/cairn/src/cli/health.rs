//! `cairn health`: whether a process is well, for people and for whatever looks after it.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

use super::output::Column;
use super::session::Connection;

/// Longest wait for an answer. Whoever does not answer is not well.
const PATIENCE: Duration = Duration::from_secs(4);

const COLUMNS: &[Column] = &[("COMPONENT", "name"), ("STATE", "state"), ("", "message")];

#[derive(Debug, clap::Args)]
pub struct Command {
    /// Ask only whether the process runs, not whether it can do its work.
    #[arg(long)]
    live: bool,
}

/// Prints every component. Exit code 0: it is ready (or, asked for that, live); 1: it is not.
pub async fn run(connection: &Connection, command: Command) -> anyhow::Result<()> {
    let url = connection.url().trim_end_matches('/');
    let probe = if command.live { "live" } else { "ready" };
    let asked =
        connection.stranger()?.http().get(format!("{url}/api/v1/health/{probe}")).timeout(PATIENCE).send().await;
    let answered = asked.with_context(|| format!("{url} does not answer"))?;
    let is_well = answered.status().is_success();
    let report: Value = answered.json().await.map_err(|_| anyhow!("{url} is no Cairn: it has no health to tell"))?;
    let components = report["components"].as_array().cloned().unwrap_or_default();
    let output = connection.output();
    match output.is_json {
        true => output.json(&report)?,
        false => output.list(&components, COLUMNS)?,
    }
    if !is_well {
        bail!("it is not {probe}");
    }
    Ok(())
}
