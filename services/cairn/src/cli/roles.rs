//! `cairn roles`: those that are built in, and those that an organization makes for itself.

use clap::Subcommand;
use serde_json::{Value, json};

use super::organizations;
use super::output::Column;
use super::session::{Items, Session, given};

const SERVICE: &str = "auth.v1.RoleService";

const COLUMNS: &[Column] = &[("NAME", "name"), ("DESCRIPTION", "description"), ("PERMISSIONS", "permissions")];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the roles and what each permits.
    List {
        /// Those of this organization too.
        #[arg(long, env = "CAIRN_ORGANIZATION", hide_env_values = true)]
        organization: Option<String>,
    },
    /// Makes a role of an organization. Nobody makes a role of what they do not hold there.
    Create {
        /// Its id, `{organization}/{role}`, or its full name. Never used again.
        id: String,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// What it permits, e.g. `experiments.runs.get`. Any number of times.
        #[arg(long = "permission", value_name = "PERMISSION", required = true)]
        permissions: Vec<String>,
    },
    /// Shows a role of an organization.
    Get {
        /// `{organization}/{role}`, or its full name.
        id: String,
    },
    /// Changes a role of an organization, for everybody who holds it.
    Update {
        /// `{organization}/{role}`, or its full name.
        id: String,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// What it permits, in place of what it did. Any number of times.
        #[arg(long = "permission", value_name = "PERMISSION")]
        permissions: Vec<String>,
    },
    /// Removes a role of an organization that nobody holds.
    Delete {
        /// `{organization}/{role}`, or its full name.
        id: String,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let call = async |method: &str, request: Value| session.call(&format!("{SERVICE}/{method}"), request).await;
    match command {
        Command::List { organization } => {
            let parent = organization.filter(|id| !id.is_empty()).map(|id| organizations::name(&id));
            let rpc = "auth.v1.AccessService/ListRoles";
            session.show(rpc, given(json!({"parent": parent})), Items::new(COLUMNS), usize::MAX).await
        }
        Command::Create { id, description, permissions } => {
            let name = name(&id)?;
            let (parent, role) = name.split_once("/roles/").unwrap_or_default();
            let body = given(json!({"description": description, "permissions": permissions}));
            let made = call("CreateRole", json!({"parent": parent, "role_id": role, "role": body})).await?;
            session.output.done(&format!("created {name}"), &made)
        }
        Command::Get { id } => session.output.one(&call("GetRole", json!({"name": name(&id)?})).await?),
        Command::Update { id, description, permissions } => {
            let name = name(&id)?;
            let role = given(json!({"name": name, "description": description, "permissions": permissions}));
            let changed = call("UpdateRole", json!({"role": role})).await?;
            session.output.done(&format!("changed {name}"), &changed)
        }
        Command::Delete { id } => {
            let name = name(&id)?;
            let gone = call("DeleteRole", json!({"name": name})).await?;
            session.output.done(&format!("deleted {name}"), &gone)
        }
    }
}

/// The full name of a role that is given by that, or by the ids of its organization and its own.
fn name(id: &str) -> anyhow::Result<String> {
    if id.starts_with("organizations/") {
        return Ok(id.to_owned());
    }
    match id.split_once('/') {
        Some((organization, role)) if !role.contains('/') && organization != "roles" => {
            Ok(format!("organizations/{organization}/roles/{role}"))
        }
        _ => anyhow::bail!("{id}: write {{organization}}/{{role}}; roles that are built in cannot be changed"),
    }
}
