//! The part of `cairn config` that speaks of the configuration of projects: environments, entries, revisions.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{Column, line, text};
use super::session::{Items, Session, given};

const SERVICE: &str = "config.v1.ConfigService";

const COLUMNS: &[Column] =
    &[("NAME", "name"), ("INHERITS", "inherits"), ("REVISION", "revision"), ("DESCRIPTION", "description")];
const ENTRY_COLUMNS: &[Column] = &[("KEY", "key"), ("VALUE", "value"), ("FROM", "origin"), ("AUTHOR", "author")];
const REVISION_COLUMNS: &[Column] = &[
    ("REVISION", "revision"),
    ("CREATED", "create_time"),
    ("AUTHOR", "author"),
    ("CHANGES", "summary"),
    ("REASON", "reason"),
];
const DIFF_COLUMNS: &[Column] = &[("KEY", "key"), ("LEFT", "left"), ("RIGHT", "right")];
const SCHEMA_COLUMNS: &[Column] = &[("KEY", "key"), ("SCHEMA", "schema"), ("AUTHOR", "author")];

/// What every project usually has: each inherits from the first.
const USUAL: [(&str, Option<&str>); 4] =
    [("base", None), ("dev", Some("base")), ("staging", Some("base")), ("prod", Some("base"))];

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Shows what an environment says, with what it inherits: everything, or one key.
    Get {
        /// The environment's id, or full name.
        environment: String,
        /// One key.
        key: Option<String>,
    },
    /// Sets entries of an environment, all in one revision.
    Set {
        /// The environment's id, or full name.
        environment: String,
        /// The value is read as JSON, and as text if it is none.
        #[arg(required = true, value_name = "KEY=VALUE")]
        entries: Vec<String>,
        /// Why. Kept for ever.
        #[arg(long)]
        reason: Option<String>,
        /// Every value is text, whatever it looks like.
        #[arg(long)]
        text: bool,
        /// Only for environments/platform: one process tries it before the others take it over.
        #[arg(long)]
        staged: bool,
    },
    /// Removes entries of an environment: what it inherits counts again.
    Unset {
        /// The environment's id, or full name.
        environment: String,
        /// Which.
        #[arg(required = true)]
        keys: Vec<String>,
        /// Why. Kept for ever.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Compares two environments; or, without another, two revisions of one.
    Diff {
        /// The environment's id, or full name.
        environment: String,
        /// Another environment.
        other: Option<String>,
        /// The revision on the left; otherwise the one before the last.
        #[arg(long, conflicts_with = "other")]
        from: Option<u32>,
        /// The revision on the right; otherwise the last.
        #[arg(long, conflicts_with = "other")]
        to: Option<u32>,
    },
    /// Lists the revisions of an environment, newest first.
    History {
        /// The environment's id, or full name.
        environment: String,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Makes the entries of an environment what they were in a revision.
    Rollback {
        /// The environment's id, or full name.
        environment: String,
        /// The revision.
        revision: u32,
        /// Why. Kept for ever.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Prints what an environment says, and again whenever that changes: a JSON object on each line.
    Watch {
        /// The environment's id, or full name.
        environment: String,
    },
    /// Environments of the project.
    #[command(subcommand)]
    Environments(Environments),
    /// What values of a key must look like.
    #[command(subcommand)]
    Schemas(Schemas),
}

#[derive(Debug, Subcommand)]
pub enum Environments {
    /// Lists them.
    List {
        /// Those of all projects that you may see.
        #[arg(long)]
        all_projects: bool,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Makes one.
    Create {
        /// Lower-case letters, digits and dashes.
        id: String,
        /// What it inherits from: an environment's id, or full name.
        #[arg(long)]
        inherits: Option<String>,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
    },
    /// Makes the usual ones that are not there yet: base, and dev, staging and prod that inherit from it.
    Init,
    /// Removes one, with its entries.
    Delete {
        /// Its id, or full name.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Schemas {
    /// Lists them.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Sets the JSON Schema of a key.
    Set {
        /// The key.
        key: String,
        /// A file that holds it.
        file: PathBuf,
    },
    /// Lets values of a key be anything.
    Delete {
        /// The key.
        key: String,
    },
}

pub async fn run(session: Session, verb: Verb) -> anyhow::Result<()> {
    let call = async |method: &str, request| session.call(&format!("{SERVICE}/{method}"), given(request)).await;
    let name = |id: &str| environment(&session, id);
    match verb {
        Verb::Get { environment, key: Some(key) } => {
            let entry = call("GetEntry", json!({"name": format!("{}/entries/{key}", name(&environment))})).await?;
            if session.output.is_json { session.output.json(&entry) } else { line(&text(&entry["value"])) }
        }
        Verb::Get { environment, key: None } => {
            let config = call("GetConfig", json!({"environment": name(&environment)})).await?;
            if session.output.is_json {
                return session.output.json(&config);
            }
            let entries = config["entries"].as_array().cloned().unwrap_or_default();
            session.output.list(&entries, ENTRY_COLUMNS)
        }
        Verb::Set { environment, entries, reason, text, staged } => {
            let changes = entries.iter().map(|entry| change(entry, text)).collect::<anyhow::Result<Vec<_>>>()?;
            let staged = staged.then_some(true);
            let request =
                json!({"environment": name(&environment), "changes": changes, "reason": reason, "staged": staged});
            told(&session, &call("ReviseConfig", request).await?)
        }
        Verb::Unset { environment, keys, reason } => {
            let changes: Vec<Value> = keys.iter().map(|key| json!({"key": key})).collect();
            let request = json!({"environment": name(&environment), "changes": changes, "reason": reason});
            told(&session, &call("ReviseConfig", request).await?)
        }
        Verb::Diff { environment, other, from, to } => {
            let other = other.map(|other| name(&other));
            let request = json!({
                "environment": name(&environment), "other": other, "from_revision": from, "to_revision": to,
            });
            let answer = call("DiffConfig", request).await?;
            session.output.list(&answer["differences"].as_array().cloned().unwrap_or_default(), DIFF_COLUMNS)
        }
        Verb::History { environment, limit } => {
            let request = json!({"environment": name(&environment)});
            let items = Items::new(REVISION_COLUMNS).with(summarize);
            session.show(&format!("{SERVICE}/ListConfigRevisions"), request, items, limit).await
        }
        Verb::Rollback { environment, revision, reason } => {
            let request = json!({"environment": name(&environment), "revision": revision, "reason": reason});
            told(&session, &call("RollBackConfig", request).await?)
        }
        Verb::Watch { environment } => {
            let request = json!({"environment": name(&environment)});
            let mut lines = session.stream(&format!("{SERVICE}/WatchConfig"), request).await?;
            while let Some(config) = lines.next().await? {
                line(&config.to_string())?;
            }
            Ok(())
        }
        Verb::Environments(verb) => environments(&session, verb).await,
        Verb::Schemas(verb) => schemas(&session, verb).await,
    }
}

async fn environments(session: &Session, verb: Environments) -> anyhow::Result<()> {
    let call = async |method: &str, request| session.call(&format!("{SERVICE}/{method}"), given(request)).await;
    match verb {
        Environments::List { all_projects: true, limit } => {
            session.show(&format!("{SERVICE}/SearchEnvironments"), json!({}), Items::new(COLUMNS), limit).await
        }
        Environments::List { all_projects: false, limit } => {
            let request = json!({"parent": session.project()});
            session.show(&format!("{SERVICE}/ListEnvironments"), request, Items::new(COLUMNS), limit).await
        }
        Environments::Create { id, inherits, description } => {
            let made = create(session, &id, inherits.as_deref(), description).await?;
            session.output.done(&format!("created {}", environment(session, &id)), &made)
        }
        Environments::Init => {
            let there = json!({"parent": session.project()});
            let there = session.list(&format!("{SERVICE}/ListEnvironments"), there, 1_000).await?;
            let mut made = vec![];
            for (id, inherits) in USUAL {
                let name = environment(session, id);
                if !there.iter().any(|environment| environment["name"] == json!(name)) {
                    made.push(create(session, id, inherits, None).await?);
                }
            }
            session.output.list(&made, COLUMNS)
        }
        Environments::Delete { id } => {
            let gone = call("DeleteEnvironment", json!({"name": environment(session, &id)})).await?;
            session.output.done(&format!("deleted {}", environment(session, &id)), &gone)
        }
    }
}

async fn create(
    session: &Session,
    id: &str,
    inherits: Option<&str>,
    description: Option<String>,
) -> anyhow::Result<Value> {
    let inherits = inherits.map(|parent| environment(session, parent));
    let described = given(json!({"inherits": inherits, "description": description}));
    let request = json!({"parent": session.project(), "environment_id": id, "environment": described});
    session.call(&format!("{SERVICE}/CreateEnvironment"), request).await
}

async fn schemas(session: &Session, verb: Schemas) -> anyhow::Result<()> {
    let name = |key: &str| format!("{}/schemas/{key}", session.project());
    match verb {
        Schemas::List { limit } => {
            let request = json!({"parent": session.project()});
            session.show(&format!("{SERVICE}/ListSchemas"), request, Items::new(SCHEMA_COLUMNS), limit).await
        }
        Schemas::Set { key, file } => {
            let read = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let schema: Value =
                serde_json::from_str(&read).with_context(|| format!("{} is no JSON", file.display()))?;
            let request = json!({"name": name(&key), "schema": schema});
            let set = session.call(&format!("{SERVICE}/SetSchema"), request).await?;
            session.output.done(&format!("values of {key} must look so from now on"), &set)
        }
        Schemas::Delete { key } => {
            let gone = session.call(&format!("{SERVICE}/DeleteSchema"), json!({"name": name(&key)})).await?;
            session.output.done(&format!("values of {key} may be anything"), &gone)
        }
    }
}

fn environment(session: &Session, id: &str) -> String {
    if id.contains('/') { id.to_owned() } else { format!("{}/environments/{id}", session.project()) }
}

/// `KEY=VALUE` as a change. What is no JSON is text.
fn change(entry: &str, is_text: bool) -> anyhow::Result<Value> {
    let Some((key, value)) = entry.split_once('=').filter(|(key, _)| !key.is_empty()) else {
        bail!("{entry:?} is not KEY=VALUE");
    };
    let value = if is_text { None } else { serde_json::from_str::<Value>(value).ok() }.unwrap_or_else(|| json!(value));
    Ok(json!({"key": key, "value": value}))
}

fn told(session: &Session, revision: &Value) -> anyhow::Result<()> {
    session.output.done(&format!("{} is in force", text(&revision["name"])), revision)
}

/// What a revision did, in a row of a table.
fn summarize(revision: &mut Value) {
    let changes = revision["changes"].as_array().cloned().unwrap_or_default();
    let change = |change: &Value| match &change["value"] {
        Value::Null => format!("-{}", text(&change["key"])),
        value => format!("{}={}", text(&change["key"]), text(value)),
    };
    revision["summary"] = json!(changes.iter().map(change).collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_json_where_it_can_be_and_text_where_it_cannot_or_shall_not() {
        assert_eq!(change("a=1", false).unwrap(), json!({"key": "a", "value": 1}));
        assert_eq!(change("a=1", true).unwrap(), json!({"key": "a", "value": "1"}));
        assert_eq!(change("a=x=y", false).unwrap(), json!({"key": "a", "value": "x=y"}));
        assert_eq!(change("a=", false).unwrap(), json!({"key": "a", "value": ""}));
        assert!(change("a", false).is_err() && change("=1", false).is_err());
    }
}
