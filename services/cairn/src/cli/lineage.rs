//! `cairn lineage`: what was made from what.

use std::collections::HashSet;
use std::io::{Write, stdout};

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use futures::StreamExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::emit;
use super::exit::Missing;
use super::output::{Column, Output, line, text};
use super::session::{Items, Session, given};

const SERVICE: &str = "ledger.v1.LineageService";
const NODES: &[Column] =
    &[("TYPE", "type"), ("NAME", "name"), ("LABEL", "label"), ("STATE", "state"), ("POSITION", "position")];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// What a thing was made from, as a tree.
    Up(Walk),
    /// What was made from a thing, as a tree.
    Down(Walk),
    /// The shortest way downstream from one thing to another.
    Path {
        /// Where it begins.
        from: String,
        /// Where it ends.
        to: String,
        /// The graph as it was: a time (RFC 3339) or a position of the log.
        #[arg(long, value_name = "MOMENT")]
        as_of: Option<String>,
    },
    /// Everything downstream of a thing, by what it is.
    Impact {
        /// The thing: its name, in full or below the project, or the address of a dataset.
        node: String,
        /// How many steps at most.
        #[arg(long)]
        depth: Option<u32>,
        /// The graph as it was: a time (RFC 3339) or a position of the log.
        #[arg(long, value_name = "MOMENT")]
        as_of: Option<String>,
    },
    /// Lists what is in the graph.
    Nodes {
        /// What it is, e.g. `dataset`.
        #[arg(long, value_name = "TYPE")]
        r#type: Option<String>,
        /// What people call it, exactly; of a dataset its address, or its namespace and name.
        #[arg(long)]
        label: Option<String>,
        /// Only at or below this resource.
        #[arg(long)]
        resource: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Writes the graph to standard output, for other programs.
    Export {
        /// How it is written.
        #[arg(long, value_enum, default_value_t = Format::Openlineage)]
        format: Format,
        /// Only at or below this resource.
        #[arg(long)]
        resource: Option<String>,
        /// The graph as it was: a time (RFC 3339) or a position of the log.
        #[arg(long, value_name = "MOMENT")]
        as_of: Option<String>,
        /// OpenLineage: only what happened after this position of the log.
        #[arg(long)]
        after: Option<u64>,
    },
    /// Sends the graph to another program as events of OpenLineage, in the order of the log.
    Emit(emit::Command),
}

/// Where a walk begins and how far it goes.
#[derive(Debug, clap::Args)]
pub struct Walk {
    /// The thing: its name, in full or below the project (`runs/abc`, `models/m/versions/3`), or the address of a dataset.
    node: String,
    /// How many steps at most.
    #[arg(long)]
    depth: Option<u32>,
    /// Follow only this relation, e.g. `used`. May be repeated.
    #[arg(long = "relation", value_name = "RELATION")]
    relations: Vec<String>,
    /// The graph as it was: a time (RFC 3339) or a position of the log.
    #[arg(long, value_name = "MOMENT")]
    as_of: Option<String>,
}

/// How the graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Events of OpenLineage, one on each line.
    Openlineage,
    /// GraphML.
    Graphml,
}

impl Format {
    fn word(self) -> &'static str {
        match self {
            Self::Openlineage => "LINEAGE_FORMAT_OPEN_LINEAGE",
            Self::Graphml => "LINEAGE_FORMAT_GRAPHML",
        }
    }
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(asked) => walk(&session, asked, true).await,
        Command::Down(asked) => walk(&session, asked, false).await,
        Command::Path { from, to, as_of } => path(&session, &from, &to, as_of).await,
        Command::Impact { node, depth, as_of } => impact(&session, &node, depth, as_of).await,
        Command::Nodes { r#type, label, resource, limit } => {
            let request = given(json!({"type": r#type, "label": label, "resource": resource}));
            session.show(&format!("{SERVICE}/ListLineageNodes"), request, Items::new(NODES), limit).await
        }
        Command::Export { format, resource, as_of, after } => {
            let after = after.map(|after| after.to_string());
            let pairs = [
                ("format", Some(format.word().to_owned())),
                ("resource", resource),
                ("as_of", as_of),
                ("after_position", after),
            ];
            export(&session, &pairs).await
        }
        Command::Emit(command) => emit::run(&session, command).await,
    }
}

async fn walk(session: &Session, asked: Walk, is_up: bool) -> anyhow::Result<()> {
    let node = node(session, &asked.node).await?;
    let direction = if is_up { "LINEAGE_DIRECTION_UPSTREAM" } else { "LINEAGE_DIRECTION_DOWNSTREAM" };
    let request = given(json!({
        "node": node, "direction": direction, "depth": asked.depth, "relations": asked.relations, "as_of": asked.as_of,
    }));
    let found = session.call(&format!("{SERVICE}/GetLineage"), request).await?;
    if session.output.is_json {
        return session.output.json(&found);
    }
    let root = found["nodes"][0]["name"].as_str().unwrap_or_default();
    Tree { found: &found, is_up }.branch(root, None, 0, &mut HashSet::new())?;
    warn_truncated(session.output, &found);
    Ok(())
}

async fn path(session: &Session, from: &str, to: &str, as_of: Option<String>) -> anyhow::Result<()> {
    let (from, to) = (node(session, from).await?, node(session, to).await?);
    let request = given(json!({"from": from, "to": to, "as_of": as_of}));
    let found = session.call(&format!("{SERVICE}/FindLineagePath"), request).await?;
    if session.output.is_json {
        return session.output.json(&found);
    }
    let nodes = found["nodes"].as_array().cloned().unwrap_or_default();
    if nodes.is_empty() {
        let unsure = if found["truncated"] == true { " within the limits of the server" } else { "" };
        return line(&format!("no way leads downstream from {from} to {to}{unsure}"));
    }
    for (at, node) in nodes.iter().enumerate() {
        let relation = at.checked_sub(1).map(|before| text(&found["edges"][before]["relation"]));
        line(&described(node, relation.as_deref()))?;
    }
    Ok(())
}

async fn impact(session: &Session, asked: &str, depth: Option<u32>, as_of: Option<String>) -> anyhow::Result<()> {
    let request = given(json!({"node": node(session, asked).await?, "depth": depth, "as_of": as_of}));
    let found = session.call(&format!("{SERVICE}/GetLineageImpact"), request).await?;
    if session.output.is_json {
        return session.output.json(&found);
    }
    for group in found["groups"].as_array().into_iter().flatten() {
        line(&format!("{} {}", text(&group["count"]), text(&group["type"])))?;
        for node in group["nodes"].as_array().into_iter().flatten() {
            line(&format!("  {}", text(&node["name"])))?;
        }
    }
    warn_truncated(session.output, &found);
    Ok(())
}

/// The name of what is meant: in full, below the project, or of the dataset at an address.
async fn node(session: &Session, asked: &str) -> anyhow::Result<String> {
    if asked.contains("://") {
        let request = json!({"label": asked, "resource": session.project()});
        let found = session.list(&format!("{SERVICE}/ListLineageNodes"), request, 1).await?;
        let name = found.first().and_then(|node| node["name"].as_str()).map(str::to_owned);
        return name
            .ok_or_else(|| Missing(format!("no dataset of {} has the address {asked}", session.project())).into());
    }
    let is_whole = asked.starts_with("projects/");
    Ok(if is_whole { asked.to_owned() } else { format!("{}/{asked}", session.project()) })
}

fn warn_truncated(output: Output, found: &Value) {
    if found["truncated"] == true {
        let places = text(&found["truncated_nodes"]);
        let places = if places.is_empty() { String::new() } else { format!(": behind {places}") };
        output.warn(&format!("there is more than is shown{places}"));
    }
}

/// An answer as a tree.
struct Tree<'a> {
    found: &'a Value,
    is_up: bool,
}

impl Tree<'_> {
    /// A node and what hangs on it. What was shown before is named again, but not what hangs on it.
    fn branch(
        &self,
        name: &str,
        relation: Option<&str>,
        depth: usize,
        shown: &mut HashSet<String>,
    ) -> anyhow::Result<()> {
        let nodes = self.found["nodes"].as_array().map_or(&[][..], Vec::as_slice);
        let Some(node) = nodes.iter().find(|node| node["name"] == name) else { return Ok(()) };
        let is_new = shown.insert(name.to_owned());
        let edges = self.found["edges"].as_array().map_or(&[][..], Vec::as_slice);
        let (near, far) = if self.is_up { ("to", "from") } else { ("from", "to") };
        let branches: Vec<_> = edges.iter().filter(|edge| edge[near] == name).collect();
        let above = if is_new || branches.is_empty() { "" } else { "  (see above)" };
        line(&format!("{}{}{above}", "  ".repeat(depth), described(node, relation)))?;
        if !is_new {
            return Ok(());
        }
        for edge in branches {
            let other = edge[far].as_str().unwrap_or_default();
            self.branch(other, edge["relation"].as_str(), depth + 1, shown)?;
        }
        Ok(())
    }
}

/// A node on one line: how it comes in, what it is, and how it stands.
fn described(node: &Value, relation: Option<&str>) -> String {
    let mut words = vec![];
    words.extend(relation.map(|relation| format!("[{relation}]")));
    let kind = text(&node["type"]);
    words.push(if kind.is_empty() { "resource".to_owned() } else { kind });
    words.push(text(&node["name"]));
    let label = text(&node["label"]);
    if !label.is_empty() {
        words.push(format!("\"{label}\""));
    }
    let state = text(&node["state"]);
    if !state.is_empty() {
        words.push(state);
    }
    if node["ended"] == true {
        words.push("(gone)".to_owned());
    }
    words.join(" ")
}

/// Copies an export to standard output as it comes.
async fn export(session: &Session, pairs: &[(&str, Option<String>)]) -> anyhow::Result<()> {
    let encoded = |value: &str| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    let query: Vec<_> = pairs
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={}", encoded(value))))
        .collect();
    let (_, parts) = session.client().get(&format!("/api/v1/lineage:export?{}", query.join("&"))).await?;
    let mut parts = std::pin::pin!(parts);
    while let Some(part) = parts.next().await {
        stdout().lock().write_all(&part.context("the export is not complete")?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_described_on_one_line() {
        let node =
            json!({"type": "run", "name": "projects/p/runs/r", "label": "first", "state": "finished", "ended": true});
        assert_eq!(described(&node, Some("used")), "[used] run projects/p/runs/r \"first\" finished (gone)");
        assert_eq!(described(&json!({"name": "projects/p/x/y"}), None), "resource projects/p/x/y");
    }
}
