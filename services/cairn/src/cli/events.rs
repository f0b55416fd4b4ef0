//! `cairn events`: the log itself, event by event.

use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{Column, at, line, text};
use super::session::{Session, given};

const COLUMNS: &[Column] = &[
    ("POSITION", "position"),
    ("TIME", "event_time"),
    ("TYPE", "type"),
    ("STREAM", "stream"),
    ("PRINCIPAL", "principal"),
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists events, newest first.
    List {
        #[command(flatten)]
        filter: Filter,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Prints events as they happen, with their data, until interrupted.
    Tail {
        #[command(flatten)]
        filter: Filter,
        /// Start after this position instead of now.
        #[arg(long)]
        after: Option<u64>,
    },
    /// The history of one resource: what happened to it, when, and by whom.
    History {
        /// Its name, e.g. `projects/default/experiments/0/runs/…`.
        name: String,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
}

/// Which events are wanted.
#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Event type, e.g. `RunCreated` or its full name.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// A resource name; events of everything below it are included.
    #[arg(long)]
    resource: Option<String>,
    /// One stream.
    #[arg(long)]
    stream: Option<String>,
}

impl Filter {
    fn request(&self) -> Value {
        given(json!({"type": self.kind, "resource": self.resource, "stream": self.stream}))
    }
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { filter, limit } => {
            let events = session.list("ledger.v1.LedgerService/ListEvents", filter.request(), "events", limit).await?;
            session.output.list(&events, COLUMNS)
        }
        Command::History { name, limit } => {
            let rpc = "ledger.v1.LedgerService/ReadResourceHistory";
            let events = session.list(rpc, json!({"name": name}), "events", limit).await?;
            session.output.list(&events, &[&COLUMNS[..3], &[("PRINCIPAL", "principal"), ("DATA", "data")]].concat())
        }
        Command::Tail { filter, after } => {
            let mut request = filter.request();
            if let Some(position) = after {
                request["after_position"] = json!(position.to_string());
            }
            let mut lines = session.stream("ledger.v1.LedgerService/TailEvents", request).await?;
            while let Some(event) = lines.next().await? {
                if session.output.is_json {
                    line(&event.to_string())?;
                } else {
                    let cells =
                        ["position", "event_time", "type", "principal", "data"].map(|path| text(at(&event, path)));
                    line(&cells.join("  "))?;
                }
            }
            Ok(())
        }
    }
}
