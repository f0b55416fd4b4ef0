//! `cairn rebuild`: builds read models again from the log, to compare or to replace.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;
use tokio::time::Instant;

use cairn_projection::View;

use super::exit::Missing;
use super::output::Output;
use crate::suite::{Config, Core, Engines, Roles, config};

/// How long a view may take to read what it has not seen yet.
const CATCH_UP_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug, clap::Args)]
pub struct Command {
    /// Compare only: build each view beside the live one and compare them row by row. Exit code 1 if any differs.
    #[arg(long)]
    verify: bool,
    /// The data folder. No other process may be using it.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Only these views.
    #[arg(long = "view")]
    views: Vec<String>,

    #[command(flatten)]
    settings: config::Flags,
}

pub async fn run(output: Output, engines: &Engines, command: Command) -> anyhow::Result<()> {
    let loaded = config::load(&command.settings, command.data.as_ref())?;
    let core =
        Core::open(&loaded, engines, &Roles::all(), &format!("http://{}", loaded.get::<Config>().http())).await?;
    let names: Vec<_> = core.views().iter().map(|view| view.name()).collect();
    if let Some(unknown) = command.views.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("there is no view {unknown}; there are {}", names.join(", "));
    }
    core.caught_up(Instant::now() + CATCH_UP_MAX).await.context("a view cannot read the log")?;
    let names: Vec<&str> = core.views().iter().map(View::name).collect();
    if let Some(unknown) = command.views.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(Missing(format!("no view {unknown}; there are {}", names.join(", "))).into());
    }
    let mut rows = vec![];
    let mut differ = vec![];
    for view in core.views() {
        if !command.views.is_empty() && !command.views.iter().any(|name| name == view.name()) {
            continue;
        }
        if command.verify {
            let verdict = view.verify().await?;
            if !verdict.is_equal() {
                let tables = verdict.tables.iter().filter_map(|table| Some((&table.table, table.difference.as_ref()?)));
                differ.extend(tables.map(|(table, at)| format!("{}, table {table}: first at {at:?}", view.name())));
            }
            rows.push(json!({
                "view": view.name(), "position": verdict.position.0, "result": if verdict.is_equal() { "equal" } else { "differs" },
            }));
        } else {
            let rebuilt = view.rebuild().await?;
            rows.push(json!({"view": view.name(), "position": rebuilt.position.0, "result": format!("rebuilt from {} events", rebuilt.events)}));
        }
    }
    output.list(&rows, &[("VIEW", "view"), ("POSITION", "position"), ("RESULT", "result")])?;
    for view in core.views() {
        view.stop(Duration::from_secs(10)).await;
    }
    if !differ.is_empty() {
        bail!("views that are not what the log says:\n{}", differ.join("\n"));
    }
    Ok(())
}
