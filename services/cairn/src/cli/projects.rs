//! `cairn projects`: where a team's work lives.

use clap::Subcommand;
use serde_json::json;

use super::output::Column;
use super::session::{Items, Session, given, pairs};
use super::{organizations, quotas};

const SERVICE: &str = "auth.v1.ProjectService";

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("ORGANIZATION", "organization"),
    ("TITLE", "title"),
    ("STATE", "state"),
    ("CREATED", "create_time"),
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the projects you may see.
    List {
        /// Only of this organization.
        #[arg(long)]
        organization: Option<String>,
        /// Deleted ones too.
        #[arg(long)]
        deleted: bool,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Makes a project. Its id is chosen once and never used again.
    Create {
        /// Lower-case letters, digits and dashes.
        id: String,
        /// What people call it.
        #[arg(long)]
        title: Option<String>,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// What it belongs to, for ever: `default`, if not given.
        #[arg(long)]
        organization: Option<String>,
    },
    /// Shows a project.
    Get {
        /// Its id, or full name.
        id: String,
    },
    /// Gives a project tags that bindings can depend on, in place of those it had.
    Classify {
        /// Its id, or full name.
        id: String,
        /// `KEY=VALUE`. Any number of them; none takes all tags away.
        tags: Vec<String>,
    },
    /// Shows how much a project may take up; with limits, changes those and leaves the others as they are.
    Quota {
        /// Its id, or full name.
        id: String,
        #[command(flatten)]
        limits: quotas::Limits,
    },
    /// Shows how much a project takes up of what its quota limits.
    Usage {
        /// Its id, or full name.
        id: String,
    },
    /// Closes a project: nothing in it can be changed until it is restored.
    Delete {
        /// Its id, or full name.
        id: String,
    },
    /// Opens a deleted project again.
    Restore {
        /// Its id, or full name.
        id: String,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let call = async |method: &str, request| session.call(&format!("{SERVICE}/{method}"), request).await;
    match command {
        Command::List { organization, deleted, limit } => {
            let parent = organization.as_deref().map(organizations::name);
            let request = given(json!({"show_deleted": deleted, "parent": parent}));
            session.show(&format!("{SERVICE}/ListProjects"), request, Items::new(COLUMNS), limit).await
        }
        Command::Create { id, title, description, organization } => {
            let project = given(json!({"title": title, "description": description}));
            let parent = organization.as_deref().map(organizations::name);
            let request = given(json!({"project_id": id, "project": project, "parent": parent}));
            let made = call("CreateProject", request).await?;
            session.output.done(&format!("created projects/{id}"), &made)
        }
        Command::Get { id } => session.output.one(&call("GetProject", json!({"name": name(&id)})).await?),
        Command::Classify { id, tags } => {
            let changed = call("ClassifyProject", json!({"name": name(&id), "tags": pairs(&tags)?})).await?;
            session.output.done(&format!("{} has {} tags", name(&id), tags.len()), &changed)
        }
        Command::Quota { id, limits } => quotas::quota(&session, &name(&id), &limits).await,
        Command::Usage { id } => quotas::usage(&session, &name(&id)).await,
        Command::Delete { id } => {
            let gone = call("DeleteProject", json!({"name": name(&id)})).await?;
            session.output.done(&format!("deleted {}; `cairn projects restore {id}` brings it back", name(&id)), &gone)
        }
        Command::Restore { id } => {
            let back = call("RestoreProject", json!({"name": name(&id)})).await?;
            session.output.done(&format!("restored {}", name(&id)), &back)
        }
    }
}

fn name(id: &str) -> String {
    if id.contains('/') { id.to_owned() } else { format!("projects/{id}") }
}
