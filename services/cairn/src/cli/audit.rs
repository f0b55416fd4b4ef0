//! `cairn audit`: who did what, and what was refused.

use clap::Subcommand;
use serde_json::json;

use super::output::Column;
use super::session::{Items, Session, given};

const COLUMNS: &[Column] = &[
    ("TIME", "event_time"),
    ("PRINCIPAL", "principal"),
    ("ACTION", "action"),
    ("RESOURCE", "resource"),
    ("OUTCOME", "outcome"),
    ("REASON", "reason"),
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists records, newest first.
    List {
        /// Who acted, e.g. `users/admin`.
        #[arg(long)]
        principal: Option<String>,
        /// The permission exercised or refused, e.g. `experiments.runs.create`.
        #[arg(long)]
        action: Option<String>,
        /// A resource name; records of everything below it are listed too.
        #[arg(long)]
        resource: Option<String>,
        /// The request that the caller or the gateway named so.
        #[arg(long)]
        request_id: Option<String>,
        /// Not before this moment (RFC 3339).
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Before this moment (RFC 3339).
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let Command::List { principal, action, resource, request_id, from, to, limit } = command;
    let request = given(json!({
        "principal": principal, "action": action, "resource": resource, "request_id": request_id,
        "start_time": from, "end_time": to,
    }));
    let rpc = "ledger.v1.LedgerService/ListAuditRecords";
    session.show(rpc, request, Items::new(COLUMNS), limit).await
}
