//! `cairn privacy`: forgetting people, and showing that it was done.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::output::text;
use super::session::{Session, given};
use super::transparency::{self, Whose};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Forgets a person for good: removes the user, erases what is known of them, and writes a certificate. The
    /// certificate is the proof that the log says so; `cairn audit verify` verifies it, without asking us. Also of a user
    /// who was deleted before. Repeating it changes nothing and writes the certificate again.
    Erase {
        /// The user's id, or full name.
        user: String,
        /// Why, for the record: nothing personal.
        #[arg(long)]
        reason: Option<String>,
        /// The file of the certificate. By itself: `<id>-erased.tlog-proof`.
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let Command::Erase { user, reason, certificate } = command;
    let id = user.rsplit('/').next().unwrap_or(&user);
    let certificate = certificate.unwrap_or_else(|| PathBuf::from(format!("{id}-erased.tlog-proof")));
    let name = format!("users/{id}");
    session.call("auth.v1.UserService/EraseUser", given(json!({"name": name, "reason": reason}))).await?;
    // Read from the log itself, which has it by now: a list might not show it yet.
    let asked = json!({"resource": name, "type": "UserErased", "after_position": "0"});
    let cannot = || format!("{name} is erased; repeat this as somebody who may read the log, for the certificate");
    let mut found = session.stream("ledger.v1.LedgerService/TailEvents", asked).await.with_context(cannot)?;
    let event = found.next().await.with_context(cannot)?.with_context(cannot)?;
    let position = text(&event["position"]).parse().with_context(cannot)?;
    transparency::write_proof(&session, &Whose::default(), position, &certificate).await?;
    let sentence = format!("erased {name}; {} certifies it", certificate.display());
    let answer = json!({"name": name, "position": position.to_string(), "certificate": certificate});
    session.output.done(&sentence, &answer)
}
