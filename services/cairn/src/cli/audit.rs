//! `cairn audit`: who did what, and what was refused.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};

use super::export::Format;
use super::output::{Column, text};
use super::session::{Items, Session, given};
use super::{addresses, cloud_events};
use super::{log_keys, transparency, verify};

const LIST: &str = "ledger.v1.LedgerService/ListAuditRecords";
const COLUMNS: &[Column] = &[
    ("TIME", "event_time"),
    ("PRINCIPAL", "principal"),
    ("ACTION", "action"),
    ("RESOURCE", "resource"),
    ("OUTCOME", "outcome"),
    ("REASON", "reason"),
];

/// What a line of an export holds, in this order.
const EXPORTED: &[&str] = &[
    "position",
    "event_time",
    "principal",
    "on_behalf_of",
    "action",
    "resource",
    "project",
    "outcome",
    "reason",
    "message",
    "type",
    "event_id",
    "request_id",
    "correlation_id",
    "decision_id",
    "source_address",
    "method",
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists records, newest first.
    List {
        #[command(flatten)]
        filter: Filter,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Show the addresses that requests came from as well. The log has them sealed: opening them takes
        /// `auth.addresses.open` and is on record.
        #[arg(long)]
        addresses: bool,
    },
    /// Writes every record that fits to standard output, oldest first, up to now. However many there are, few of them
    /// are held in memory.
    Export {
        #[command(flatten)]
        filter: Filter,
        /// How records are written.
        #[arg(long, value_enum)]
        format: Format,
        /// Go on after this position: that of the last record of an export that broke off. Writes no headings.
        #[arg(long)]
        after: Option<u64>,
    },
    /// Prints the newest signed checkpoint of the log. Keep it: `cairn audit verify --known` holds later ones against it.
    Checkpoint {
        #[command(flatten)]
        whose: transparency::Whose,
        /// Print the keys that verify the log instead, one on each line.
        #[arg(long)]
        keys: bool,
    },
    /// Writes the proof that an event is in the log: one file, to be verified by anybody without asking us.
    Prove {
        #[command(flatten)]
        whose: transparency::Whose,
        /// Where the event stands in the log, as lists show it.
        position: u64,
        /// The file. By itself: `<position>.tlog-proof`.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Copies the whole log into a folder, in the form of C2SP tlog-tiles. Goes on where an earlier copy ended.
    Pull {
        #[command(flatten)]
        whose: transparency::Whose,
        /// Where to.
        folder: PathBuf,
    },
    /// Shows which keys sign the log, the epochs it has had, and why nothing is signed if nothing is.
    Signing,
    /// Makes a new key that the log is signed with. The keys until now sign beside it for a while.
    RotateKey {
        /// For how many days they do. 0: they stop at once, as for a key that was stolen. By itself: as the deployment's
        /// setting `ledger.signing_overlap_days` says.
        #[arg(long, value_name = "DAYS")]
        overlap_days: Option<u32>,
    },
    /// Signs the log under a new name, when it can no longer be what was signed before: a backup was restored, or a disk
    /// lied. What was lost becomes part of the log, for everybody to see.
    OpenEpoch {
        /// The name of the epoch that ends: the origin that `cairn audit signing` shows.
        #[arg(long, value_name = "ORIGIN")]
        ends: String,
        /// Why, for those who will ask.
        #[arg(long)]
        reason: String,
    },
    /// Verifies a proof or a copied log. Asks nobody: needs no network and no account.
    Verify(verify::Command),
}

/// Which records are wanted.
#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Who acted, e.g. `users/admin`.
    #[arg(long)]
    principal: Option<String>,
    /// The permission exercised or refused, e.g. `experiments.runs.create`.
    #[arg(long)]
    action: Option<String>,
    /// A resource name, e.g. of a project; records of everything below it are included.
    #[arg(long)]
    resource: Option<String>,
    /// Words, parted by spaces, that begin parts of names: `fraud trai` finds what `serviceAccounts/trainer` did in
    /// `projects/fraud-eu`.
    #[arg(long)]
    query: Option<String>,
    /// The request that the caller or the gateway named so.
    #[arg(long)]
    request_id: Option<String>,
    /// How it ended: `committed`, `denied`, `rejected`, `read`, `requested` or `strangers-refused`.
    #[arg(long)]
    outcome: Option<String>,
    /// Not before this moment (RFC 3339).
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this moment (RFC 3339).
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

impl Filter {
    fn request(&self) -> Value {
        let outcome = self.outcome.as_ref().map(|name| format!("OUTCOME_{}", name.to_uppercase().replace('-', "_")));
        given(json!({
            "principal": self.principal, "action": self.action, "resource": self.resource,
            "query": self.query, "request_id": self.request_id, "outcome": outcome, "start_time": self.from, "end_time": self.to,
        }))
    }
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { filter, limit, addresses: true } => {
            let mut found = session.list(LIST, filter.request(), limit).await?;
            addresses::open(&session, &mut found).await?;
            session.output.list(&found, &[COLUMNS, &[("ADDRESS", "source_address")]].concat())
        }
        Command::List { filter, limit, addresses: false } => {
            session.show(LIST, filter.request(), Items::new(COLUMNS), limit).await
        }
        Command::Export { filter, format, after } => export(&session, filter.request(), format, after).await,
        Command::Checkpoint { whose, keys } => transparency::checkpoint(&session, &whose, keys).await,
        Command::Prove { whose, position, to } => transparency::prove(&session, &whose, position, to).await,
        Command::Pull { whose, folder } => transparency::pull(&session, &whose, &folder).await,
        Command::Signing => log_keys::show(&session).await,
        Command::RotateKey { overlap_days } => log_keys::rotate(&session, overlap_days).await,
        Command::OpenEpoch { ends, reason } => log_keys::open_epoch(&session, &ends, &reason).await,
        Command::Verify(command) => verify::run(session.output, &command),
    }
}

async fn export(session: &Session, mut request: Value, format: Format, after: Option<u64>) -> anyhow::Result<()> {
    if let Some(position) = after {
        request["after_position"] = json!(position.to_string());
    }
    let log = match format {
        Format::Cloudevents => {
            let checkpoint = session.call("ledger.v1.TransparencyService/GetCheckpoint", json!({})).await?;
            Some(text(&checkpoint["log"]))
        }
        Format::Csv | Format::Jsonl => None,
    };
    let mut records = session.stream("ledger.v1.LedgerService/ExportAuditRecords", request).await?;
    if after.is_none() {
        format.heading(EXPORTED)?;
    }
    let mut last = after.map(|position| position.to_string());
    loop {
        let record = records.next().await.with_context(|| match &last {
            Some(position) => format!("the export is not complete; go on with `--after {position}`"),
            None => "the export is not complete".to_owned(),
        })?;
        let Some(record) = record else { return Ok(()) };
        match &log {
            Some(log) => format.record(&cloud_events::of_record(&record, log), EXPORTED)?,
            None => format.record(&record, EXPORTED)?,
        }
        last = Some(text(&record["position"]));
    }
}
