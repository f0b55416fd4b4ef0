//! `cairn experiments`: what a team is trying.

use clap::Subcommand;
use serde_json::{Value, json};

use super::output::Column;
use super::session::{Items, Session, given, pairs, query};

const SERVICE: &str = "experiments.v1.ExperimentService";

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("TITLE", "display_name"),
    ("STATE", "lifecycle"),
    ("REVISION", "revision"),
    ("CREATED", "create_time"),
    ("BY", "creator"),
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists experiments.
    List {
        /// In MLflow's language, e.g. `name LIKE 'fraud%'` or `tags.team = 'risk'`.
        #[arg(long)]
        filter: Option<String>,
        /// E.g. `last_update_time DESC`.
        #[arg(long)]
        order_by: Option<String>,
        /// Deleted ones too.
        #[arg(long)]
        deleted: bool,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Makes an experiment.
    Create {
        /// What people call it; unique in its project.
        title: String,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// `KEY=VALUE`, any number of times.
        #[arg(long = "tag", value_name = "KEY=VALUE")]
        tags: Vec<String>,
    },
    /// Shows an experiment, named by its id or full name.
    Get {
        /// Its id, or full name.
        experiment: String,
    },
    /// Gives it another title.
    Rename {
        /// Its id, or full name.
        experiment: String,
        /// What people are to call it.
        title: String,
    },
    /// Sets tags.
    Tag {
        /// Its id, or full name.
        experiment: String,
        /// One or more.
        #[arg(value_name = "KEY=VALUE", required = true)]
        tags: Vec<String>,
    },
    /// Deletes it and its runs. They can be restored.
    Delete {
        /// Its id, or full name.
        experiment: String,
    },
    /// Brings it back.
    Restore {
        /// Its id, or full name.
        experiment: String,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let call = async |method: &str, request: Value| session.call(&format!("{SERVICE}/{method}"), request).await;
    let name =
        |id: &str| if id.contains('/') { id.to_owned() } else { format!("{}/experiments/{id}", session.project()) };
    match command {
        Command::List { filter, order_by, deleted, limit } => {
            let request = json!({"parent": session.project(), "show_deleted": deleted});
            let query = query(filter, order_by, limit);
            session.show_selected(&format!("{SERVICE}/ListExperiments"), request, Items::new(COLUMNS), query).await
        }
        Command::Create { title, description, tags } => {
            let request = given(json!({
                "parent": session.project(), "display_name": title, "description": description, "tags": pairs(&tags)?,
            }));
            let made = call("CreateExperiment", request).await?;
            session.output.done(&format!("created {}", made["name"].as_str().unwrap_or_default()), &made)
        }
        Command::Get { experiment } => {
            session.output.one(&call("GetExperiment", json!({"name": name(&experiment)})).await?)
        }
        Command::Rename { experiment, title } => {
            let request = json!({
                "experiment": {"name": name(&experiment), "display_name": title}, "update_mask": "display_name",
            });
            let answer = call("UpdateExperiment", request).await?;
            session.output.done(&format!("{} is now called {title}", name(&experiment)), &answer)
        }
        Command::Tag { experiment, tags } => {
            let answer = call("SetExperimentTags", json!({"name": name(&experiment), "tags": pairs(&tags)?})).await?;
            session.output.done(&format!("tagged {}", name(&experiment)), &answer)
        }
        Command::Delete { experiment } => {
            let gone = call("DeleteExperiment", json!({"name": name(&experiment)})).await?;
            session.output.done(&format!("deleted {}", name(&experiment)), &gone)
        }
        Command::Restore { experiment } => {
            let back = call("RestoreExperiment", json!({"name": name(&experiment)})).await?;
            session.output.done(&format!("restored {}", name(&experiment)), &back)
        }
    }
}
