//! `cairn sessions`: who is logged in.

use clap::Subcommand;
use serde_json::json;

use super::output::Column;
use super::session::{Items, Session};

const SERVICE: &str = "auth.v1.SessionService";

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("CLIENT", "client"),
    ("PROVIDER", "identity_provider"),
    ("SINCE", "auth_time"),
    ("EXPIRES", "expire_time"),
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the sessions of somebody that have not ended.
    List {
        /// `users/…` or `serviceAccounts/…`. None: your own.
        #[arg(long)]
        owner: Option<String>,
    },
    /// Ends a session, everywhere, within a second.
    Revoke {
        /// Its full name, as `cairn sessions list` tells it.
        name: String,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { owner } => {
            let owner = match owner {
                Some(owner) => owner,
                None => {
                    let who = session.call("auth.v1.AccessService/WhoAmI", json!({})).await?;
                    who["principal"].as_str().unwrap_or_default().to_owned()
                }
            };
            let request = json!({"parent": owner});
            session.show(&format!("{SERVICE}/ListSessions"), request, Items::new(COLUMNS), usize::MAX).await
        }
        Command::Revoke { name } => {
            let gone = session.call(&format!("{SERVICE}/RevokeSession"), json!({"name": name})).await?;
            session.output.done(&format!("ended {name}"), &gone)
        }
    }
}
