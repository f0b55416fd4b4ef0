//! `cairn groups`: people and programs who are given roles together.

use clap::Subcommand;
use serde_json::{Value, json};

use super::organizations;
use super::output::Column;
use super::session::{Items, Session, given};

const SERVICE: &str = "auth.v1.GroupService";

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("DISPLAY NAME", "display_name"),
    ("EXTERNAL ID", "external_id"),
    ("MEMBERS", "member_count"),
    ("CREATED", "create_time"),
];

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
    /// Lists the groups of the organization that you may see.
    List {
        /// Only those that this principal is in, directly.
        #[arg(long)]
        member: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Makes a group without members. Its id is chosen once and never used again.
    Create {
        /// Lower-case letters, digits and dashes.
        id: String,
        /// What people call it.
        #[arg(long)]
        display_name: Option<String>,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// What the directory that it comes from calls it.
        #[arg(long)]
        external_id: Option<String>,
    },
    /// Shows a group.
    Get {
        /// Its id, or full name.
        id: String,
    },
    /// Changes what a group is called.
    Update {
        /// Its id, or full name.
        id: String,
        /// What people call it.
        #[arg(long)]
        display_name: Option<String>,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// What the directory that it comes from calls it.
        #[arg(long)]
        external_id: Option<String>,
    },
    /// Removes a group for good, and with it every role that is held through it.
    Delete {
        /// Its id, or full name.
        id: String,
    },
    /// Lists who is in a group.
    Members {
        /// Its id, or full name.
        id: String,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Puts users, service accounts or groups into a group. You must hold what it holds.
    Add {
        /// Its id, or full name.
        id: String,
        /// `users/…`, `serviceAccounts/…` or `organizations/…/groups/…`.
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// Takes members out of a group: they lose at once what they held through it.
    Remove {
        /// Its id, or full name.
        id: String,
        /// As `cairn groups members` names them.
        #[arg(required = true)]
        members: Vec<String>,
    },
}

pub async fn run(session: Session, Command { organization, act }: Command) -> anyhow::Result<()> {
    let call = async |method: &str, request: Value| session.call(&format!("{SERVICE}/{method}"), request).await;
    let parent = organizations::name(&organization);
    let name = |id: &str| if id.contains('/') { id.to_owned() } else { format!("{parent}/groups/{id}") };
    match act {
        Act::List { member, limit } => {
            let request = given(json!({"parent": parent, "member": member}));
            session.show(&format!("{SERVICE}/ListGroups"), request, Items::new(COLUMNS), limit).await
        }
        Act::Create { id, display_name, description, external_id } => {
            let group = json!({"display_name": display_name, "description": description, "external_id": external_id});
            let request = json!({"parent": parent, "group_id": id, "group": given(group)});
            let made = call("CreateGroup", request).await?;
            session.output.done(&format!("created {}", name(&id)), &made)
        }
        Act::Get { id } => session.output.one(&call("GetGroup", json!({"name": name(&id)})).await?),
        Act::Update { id, display_name, description, external_id } => {
            let group = json!({"name": name(&id), "display_name": display_name, "description": description,
                               "external_id": external_id});
            let changed = call("UpdateGroup", json!({"group": given(group)})).await?;
            session.output.done(&format!("changed {}", name(&id)), &changed)
        }
        Act::Delete { id } => {
            let gone = call("DeleteGroup", json!({"name": name(&id)})).await?;
            session.output.done(&format!("deleted {}", name(&id)), &gone)
        }
        Act::Members { id, limit } => {
            let found = members(&session, &name(&id), limit).await?;
            if session.output.is_json {
                return session.output.json(&Value::Array(found));
            }
            let rows: Vec<Value> = found.into_iter().map(|member| json!({"member": member})).collect();
            session.output.list(&rows, &[("MEMBER", "member")])
        }
        Act::Add { id, members } => {
            let count = members.len();
            let done = call("AddGroupMembers", json!({"name": name(&id), "members": members})).await?;
            session.output.done(&format!("{count} are in {}", name(&id)), &done)
        }
        Act::Remove { id, members } => {
            let count = members.len();
            let done = call("RemoveGroupMembers", json!({"name": name(&id), "members": members})).await?;
            session.output.done(&format!("{count} are not in {}", name(&id)), &done)
        }
    }
}

/// Up to `limit` names of members, over as many pages as it takes.
async fn members(session: &Session, group: &str, limit: usize) -> anyhow::Result<Vec<Value>> {
    let (mut found, mut token) = (vec![], String::new());
    while found.len() < limit {
        let request = json!({"parent": group, "page_size": (limit - found.len()).min(1000), "page_token": token});
        let mut page = session.call(&format!("{SERVICE}/ListGroupMembers"), request).await?;
        found.extend(page["members"].as_array_mut().map(std::mem::take).unwrap_or_default());
        token = page["next_page_token"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            break;
        }
    }
    Ok(found)
}
