//! `cairn signing-keys`: the keys that tokens are signed with.

use clap::Subcommand;
use serde_json::{Value, json};

use super::output::Column;
use super::session::Session;

const SERVICE: &str = "auth.v1.SigningKeyService";

const COLUMNS: &[Column] = &[("NAME", "name"), ("SLOT", "slot"), ("SINCE", "since_time")];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the keys: the one that signs, the one that will, and the one that did.
    List,
    /// Signs with the next key from now on.
    Rotate {
        /// The current key is no longer to be trusted: refuse every token that it signed.
        #[arg(long)]
        compromised: bool,
        /// Why; kept in the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let shown = match command {
        Command::List => session.call(&format!("{SERVICE}/FetchSigningKeys"), json!({})).await?,
        Command::Rotate { compromised, reason } => {
            let request = json!({"compromised": compromised, "reason": reason});
            session.call(&format!("{SERVICE}/RotateSigningKeys"), request).await?
        }
    };
    let keys = shown["signing_keys"].as_array().cloned().unwrap_or_default();
    session.output.list(&keys.iter().map(summary).collect::<Vec<_>>(), COLUMNS)
}

/// A key with its slot in the words that people say.
fn summary(key: &Value) -> Value {
    let mut key = key.clone();
    if let Some(slot) = key["slot"].as_str().and_then(|slot| slot.strip_prefix("SLOT_")) {
        key["slot"] = json!(slot.to_lowercase());
    }
    key
}
