//! `cairn trust-rules`: workloads that need no key, because where they run says who they are.

use clap::Subcommand;
use serde_json::json;

use super::output::Column;
use super::session::{Items, Session, given, pairs};

const SERVICE: &str = "auth.v1.TrustRuleService";

const COLUMNS: &[Column] =
    &[("NAME", "name"), ("TITLE", "title"), ("ISSUER", "issuer"), ("AUDIENCE", "audience"), ("CLAIMS", "claims")];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the rules of a service account.
    List {
        /// The service account's id, or full name.
        account: String,
    },
    /// Lets workloads act as a service account that bring a token of an issuer.
    Create {
        /// The service account's id, or full name.
        account: String,
        /// Who signs their tokens.
        #[arg(long)]
        issuer: String,
        /// Whom the tokens must be for. The server's own address, if not given.
        #[arg(long)]
        audience: Option<String>,
        /// What the tokens must say, exactly. Any number of times, and at least once.
        #[arg(long = "claim", value_name = "CLAIM=VALUE", required = true)]
        claims: Vec<String>,
        /// Narrow what they get to resources at or below these names.
        #[arg(long = "scope", value_name = "RESOURCE")]
        scopes: Vec<String>,
        /// What people call it.
        #[arg(long)]
        title: Option<String>,
    },
    /// Ends a rule, and every token got by it, within a second.
    Delete {
        /// Its full name, as `cairn trust-rules list` tells it.
        name: String,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let full = |id: &str| if id.contains('/') { id.to_owned() } else { format!("serviceAccounts/{id}") };
    match command {
        Command::List { account } => {
            let request = json!({"parent": full(&account)});
            session.show(&format!("{SERVICE}/ListTrustRules"), request, Items::new(COLUMNS), usize::MAX).await
        }
        Command::Create { account, issuer, audience, claims, scopes, title } => {
            let rule = given(json!({"issuer": issuer, "audience": audience, "claims": pairs(&claims)?,
                                    "scopes": scopes, "title": title}));
            let request = json!({"parent": full(&account), "trust_rule": rule});
            let made = session.call(&format!("{SERVICE}/CreateTrustRule"), request).await?;
            session.output.done(&format!("made {}", made["name"].as_str().unwrap_or_default()), &made)
        }
        Command::Delete { name } => {
            let gone = session.call(&format!("{SERVICE}/DeleteTrustRule"), json!({"name": name})).await?;
            session.output.done(&format!("ended {name}"), &gone)
        }
    }
}
