//! `cairn orgs`: who projects, groups and roles belong to.

use clap::Subcommand;
use serde_json::{Value, json};

use super::output::Column;
use super::session::{Items, Session, given};

const SERVICE: &str = "auth.v1.OrganizationService";

const COLUMNS: &[Column] = &[("NAME", "name"), ("TITLE", "title"), ("STATE", "state"), ("CREATED", "create_time")];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the organizations you may see.
    List {
        /// Deleted ones too.
        #[arg(long)]
        deleted: bool,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Makes an organization. Its id is chosen once and never used again.
    Create {
        /// Lower-case letters, digits and dashes.
        id: String,
        /// What people call it.
        #[arg(long)]
        title: Option<String>,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
    },
    /// Shows an organization, and which duties are apart in it.
    Get {
        /// Its id, or full name.
        id: String,
    },
    /// Changes what is said of an organization.
    Update {
        /// Its id, or full name.
        id: String,
        /// What people call it.
        #[arg(long)]
        title: Option<String>,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
    },
    /// Says which roles nobody may hold together, on one resource: all of them, in place of those before.
    Separate {
        /// Its id, or full name.
        id: String,
        /// Two roles: `editor,manager`. Any number of times; none leaves no duties apart.
        #[arg(long = "pair", value_name = "ROLE,ROLE", value_parser = pair)]
        pairs: Vec<(String, String)>,
        /// Why; kept with each pair.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Closes an organization that has no open projects.
    Delete {
        /// Its id, or full name.
        id: String,
    },
    /// Opens a deleted organization again.
    Restore {
        /// Its id, or full name.
        id: String,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let call = async |method: &str, request: Value| session.call(&format!("{SERVICE}/{method}"), request).await;
    match command {
        Command::List { deleted, limit } => {
            let request = json!({"show_deleted": deleted});
            session.show(&format!("{SERVICE}/ListOrganizations"), request, Items::new(COLUMNS), limit).await
        }
        Command::Create { id, title, description } => {
            let organization = given(json!({"title": title, "description": description}));
            let request = json!({"organization_id": id, "organization": organization});
            let made = call("CreateOrganization", request).await?;
            session.output.done(&format!("created organizations/{id}"), &made)
        }
        Command::Get { id } => session.output.one(&call("GetOrganization", json!({"name": name(&id)})).await?),
        Command::Update { id, title, description } => {
            let organization = given(json!({"name": name(&id), "title": title, "description": description}));
            let changed = call("UpdateOrganization", json!({"organization": organization})).await?;
            session.output.done(&format!("changed {}", name(&id)), &changed)
        }
        Command::Separate { id, pairs, reason } => {
            let apart = pairs.iter().map(|(role, other)| json!({"role": role, "other_role": other, "reason": reason}));
            let organization = json!({"name": name(&id), "separated_duties": apart.collect::<Vec<_>>()});
            let request = json!({"organization": organization, "update_mask": "separated_duties"});
            let changed = call("UpdateOrganization", request).await?;
            session.output.done(&format!("{} pairs of roles are apart in {}", pairs.len(), name(&id)), &changed)
        }
        Command::Delete { id } => {
            let gone = call("DeleteOrganization", json!({"name": name(&id)})).await?;
            session.output.done(&format!("deleted {}; `cairn orgs restore {id}` brings it back", name(&id)), &gone)
        }
        Command::Restore { id } => {
            let back = call("RestoreOrganization", json!({"name": name(&id)})).await?;
            session.output.done(&format!("restored {}", name(&id)), &back)
        }
    }
}

/// The full name of an organization that is given by its id or its name.
pub fn name(id: &str) -> String {
    if id.contains('/') { id.to_owned() } else { format!("organizations/{id}") }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let role = |text: &str| if text.contains('/') { text.to_owned() } else { format!("roles/{text}") };
    let (one, other) = text.split_once(',').ok_or("write two roles with a comma between them: editor,manager")?;
    Ok((role(one), role(other)))
}
