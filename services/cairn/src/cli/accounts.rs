//! `cairn users` and `cairn service-accounts`: who can be given rights.

use clap::Subcommand;
use serde_json::{Value, json};

use super::organizations;
use super::output::Column;
use super::session::{Items, Session, given};

const COLUMNS: &[Column] = &[("NAME", "name"), ("STATE", "state"), ("CREATED", "create_time")];

/// The two kinds of account have the same commands; this is how their RPCs and fields differ.
pub struct Kind {
    service: &'static str,
    noun: &'static str,
    collection: &'static str,
    field: &'static str,
    title: &'static str,
    /// Whether the caller chooses the id. A person's is made by the server, so that it says nothing of them.
    is_named_by_caller: bool,
}

impl Kind {
    /// The organization that is named, where accounts belong to one.
    fn parent(&self, organization: Option<String>) -> anyhow::Result<Option<String>> {
        match organization {
            Some(_) if !self.is_named_by_caller => anyhow::bail!("--organization: people belong to no organization"),
            organization => Ok(organization.as_deref().map(organizations::name)),
        }
    }
}

/// People.
pub const USERS: Kind = Kind {
    service: "auth.v1.UserService",
    noun: "User",
    collection: "users",
    field: "user",
    title: "display_name",
    is_named_by_caller: false,
};

/// Programs.
pub const SERVICE_ACCOUNTS: Kind = Kind {
    service: "auth.v1.ServiceAccountService",
    noun: "ServiceAccount",
    collection: "serviceAccounts",
    field: "service_account",
    title: "title",
    is_named_by_caller: true,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists accounts.
    List {
        /// Only of this organization. Users belong to none.
        #[arg(long)]
        organization: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Makes an account. It can do nothing until a role is bound to it.
    Create {
        /// A service account's id, never used again; a user's name, whose id is made by the server.
        id: String,
        /// What people call it.
        #[arg(long)]
        title: Option<String>,
        /// What a service account belongs to, for ever: nothing but the deployment, if not given.
        #[arg(long)]
        organization: Option<String>,
    },
    /// Changes what an account is called.
    Update {
        /// Its id, or full name.
        id: String,
        /// What people call it.
        #[arg(long)]
        title: String,
    },
    /// Shows an account.
    Get {
        /// Its id, or full name.
        id: String,
    },
    /// Refuses the account and all its keys, everywhere, within a second.
    Disable {
        /// Its id, or full name.
        id: String,
    },
    /// Lets a disabled account in again.
    Enable {
        /// Its id, or full name.
        id: String,
    },
    /// Removes the account for good.
    Delete {
        /// Its id, or full name.
        id: String,
    },
}

pub async fn run(session: Session, kind: Kind, command: Command) -> anyhow::Result<()> {
    let call = async |verb: &str, request: Value| {
        session.call(&format!("{}/{verb}{}", kind.service, kind.noun), request).await
    };
    let name = |id: &str| if id.contains('/') { id.to_owned() } else { format!("{}/{id}", kind.collection) };
    match command {
        Command::List { organization, limit } => {
            let rpc = format!("{}/List{}s", kind.service, kind.noun);
            let parent = kind.parent(organization)?;
            session.show(&rpc, given(json!({"parent": parent})), Items::new(COLUMNS), limit).await
        }
        Command::Create { id, title, organization } => {
            let parent = kind.parent(organization)?;
            let mut request = match kind.is_named_by_caller {
                true => json!({format!("{}_id", kind.field): id, kind.field: given(json!({kind.title: title}))}),
                false => json!({kind.field: {kind.title: title.unwrap_or(id)}}),
            };
            if let Some(parent) = parent {
                request["parent"] = json!(parent);
            }
            let made = call("Create", request).await?;
            session.output.done(&format!("created {}", made["name"].as_str().unwrap_or_default()), &made)
        }
        Command::Get { id } => session.output.one(&call("Get", json!({"name": name(&id)})).await?),
        Command::Update { id, title } => {
            let changed = call("Update", json!({kind.field: {"name": name(&id), kind.title: title}})).await?;
            session.output.done(&format!("changed {}", name(&id)), &changed)
        }
        Command::Disable { id } => {
            let answer = call("Disable", json!({"name": name(&id)})).await?;
            session.output.done(&format!("disabled {}", name(&id)), &answer)
        }
        Command::Enable { id } => {
            let answer = call("Enable", json!({"name": name(&id)})).await?;
            session.output.done(&format!("enabled {}", name(&id)), &answer)
        }
        Command::Delete { id } => {
            let answer = call("Delete", json!({"name": name(&id)})).await?;
            session.output.done(&format!("deleted {}", name(&id)), &answer)
        }
    }
}
