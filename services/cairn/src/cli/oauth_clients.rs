//! `cairn oauth-clients`: applications that people log in to by Cairn.

use clap::Subcommand;
use serde_json::json;

use super::output::Column;
use super::session::{Items, Session, given};

const SERVICE: &str = "auth.v1.OauthClientService";

const COLUMNS: &[Column] =
    &[("NAME", "name"), ("TITLE", "title"), ("REDIRECTS", "redirect_uris"), ("ACCOUNT", "service_account")];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the applications.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Adds an application.
    Create {
        /// Its `client_id`: lower-case letters, digits and dashes.
        id: String,
        /// What people know it by.
        #[arg(long)]
        title: Option<String>,
        /// Where people are sent back to, exactly. Any number of times.
        #[arg(long = "redirect", value_name = "URL")]
        redirects: Vec<String>,
        /// The service account whose API keys are its `client_secret`. None: it keeps no secret.
        #[arg(long, value_name = "ACCOUNT")]
        service_account: Option<String>,
    },
    /// Removes an application: it gets no tokens any more.
    Delete {
        /// Its id, or full name.
        id: String,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let call = async |method: &str, request| session.call(&format!("{SERVICE}/{method}"), request).await;
    let named = |collection: &str, id: &str| {
        if id.contains('/') { id.to_owned() } else { format!("{collection}/{id}") }
    };
    match command {
        Command::List { limit } => {
            session.show(&format!("{SERVICE}/ListOauthClients"), json!({}), Items::new(COLUMNS), limit).await
        }
        Command::Create { id, title, redirects, service_account } => {
            let account = service_account.map(|account| named("serviceAccounts", &account));
            let client = given(json!({"title": title, "redirect_uris": redirects, "service_account": account}));
            let made = call("CreateOauthClient", json!({"oauth_client_id": id, "oauth_client": client})).await?;
            session.output.done(&format!("added oauthClients/{id}"), &made)
        }
        Command::Delete { id } => {
            let name = named("oauthClients", &id);
            let gone = call("DeleteOauthClient", json!({"name": name})).await?;
            session.output.done(&format!("deleted {name}"), &gone)
        }
    }
}
