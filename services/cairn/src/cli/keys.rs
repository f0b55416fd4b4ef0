//! `cairn keys`: API keys of users and service accounts.

use std::time::{Duration, SystemTime};

use clap::Subcommand;
use serde_json::json;

use super::output::{Column, line};
use super::session::{Items, Session, given};

const SERVICE: &str = "auth.v1.ApiKeyService";

const COLUMNS: &[Column] =
    &[("NAME", "name"), ("TITLE", "title"), ("STATE", "state"), ("EXPIRES", "expire_time"), ("SCOPES", "scopes")];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the keys of an account.
    List {
        /// `users/…` or `serviceAccounts/…`.
        #[arg(long)]
        owner: String,
        /// Revoked ones too.
        #[arg(long)]
        revoked: bool,
    },
    /// Makes a key and prints its secret, once.
    Create {
        /// `users/…` or `serviceAccounts/…`.
        #[arg(long)]
        owner: String,
        /// What it is for.
        #[arg(long)]
        title: Option<String>,
        /// Until when it works: `30d`, `12h`. The server's default is 90 days.
        #[arg(long, value_parser = humantime::parse_duration)]
        expires_in: Option<Duration>,
        /// Narrow it to resources at or below these names.
        #[arg(long = "scope", value_name = "RESOURCE")]
        scopes: Vec<String>,
    },
    /// Gives a key a new secret; the old one works for the grace period.
    Rotate {
        /// Its full name, as `cairn keys list` tells it.
        name: String,
        /// How long the old secret still works, e.g. `1h`.
        #[arg(long, value_parser = humantime::parse_duration)]
        grace: Option<Duration>,
    },
    /// Refuses a key, everywhere, within a second.
    Revoke {
        /// Its full name, as `cairn keys list` tells it.
        name: String,
        /// Why; kept in the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let call = async |method: &str, request| session.call(&format!("{SERVICE}/{method}"), request).await;
    match command {
        Command::List { owner, revoked } => {
            let request = json!({"parent": owner, "show_revoked": revoked});
            session.show(&format!("{SERVICE}/ListApiKeys"), request, Items::new(COLUMNS), usize::MAX).await
        }
        Command::Create { owner, title, expires_in, scopes } => {
            let expires =
                expires_in.map(|span| humantime::format_rfc3339_seconds(SystemTime::now() + span).to_string());
            let key = given(json!({"title": title, "expire_time": expires, "scopes": scopes}));
            let made = call("CreateApiKey", json!({"parent": owner, "api_key": key})).await?;
            show_secret(&session, &made)
        }
        Command::Rotate { name, grace } => {
            let grace = grace.map(|span| format!("{}s", span.as_secs()));
            let made = call("RotateApiKey", given(json!({"name": name, "grace": grace}))).await?;
            show_secret(&session, &made)
        }
        Command::Revoke { name, reason } => {
            let gone = call("RevokeApiKey", json!({"name": name, "reason": reason})).await?;
            session.output.done(&format!("revoked {name}"), &gone)
        }
    }
}

/// The secret alone goes to standard output, so that it can be piped into a file.
fn show_secret(session: &Session, key: &serde_json::Value) -> anyhow::Result<()> {
    if session.output.is_json {
        return session.output.json(key);
    }
    let text = |field: &str| key[field].as_str().unwrap_or_default().to_owned();
    eprintln!("{} works until {}. This secret is shown once:", text("name"), text("expire_time"));
    line(&text("secret"))
}
