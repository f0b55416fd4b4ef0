//! `cairn events`: the log itself, event by event.

use anyhow::Context;
use cairn_client::Query;
use clap::Subcommand;
use serde_json::{Value, json};

use super::carry;
use super::export::Format;
use super::output::{Column, at, line, text};
use super::points;
use super::session::{Connection, Items, Session, given};

const COLUMNS: &[Column] = &[
    ("POSITION", "position"),
    ("TIME", "event_time"),
    ("TYPE", "type"),
    ("RESOURCE", "resource"),
    ("PRINCIPAL", "principal"),
];

/// Of one resource, whose stream is no news but whose data is.
const HISTORY: &[Column] = &[
    ("POSITION", "position"),
    ("TIME", "event_time"),
    ("TYPE", "type"),
    ("PRINCIPAL", "principal"),
    ("DATA", "story"),
];

/// What a line of an export holds, in this order.
const EXPORTED: &[&str] = &[
    "position",
    "event_time",
    "type",
    "stream",
    "revision",
    "event_id",
    "resource",
    "principal",
    "on_behalf_of",
    "action",
    "request_id",
    "correlation_id",
    "causation_id",
    "decision_id",
    "source_address",
    "traceparent",
    "data",
];

/// Longest text of an event's data in a row, in characters; `--json` has all of it.
const STORY_CHARS_MAX: usize = 140;

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
    /// Writes every event that fits to standard output, with its data, oldest first, up to now. However many there are,
    /// few of them are held in memory.
    ///
    /// With --to it is the log itself that is written, for `import`: needs no server but the log, and what is sealed stays
    /// sealed.
    Export {
        #[command(flatten)]
        filter: Filter,
        /// How events are written.
        #[arg(long, value_enum, required_unless_present = "to")]
        format: Option<Format>,
        /// Go on after this position: that of the last event of an export that broke off. Writes no headings.
        #[arg(long)]
        after: Option<u64>,
        #[command(flatten)]
        copy: carry::Copy,
    },
    /// Carries an exported log into another one.
    Import(carry::Import),
    /// Carries the whole log to another engine as it is, every position, id, time and byte, and compares what has arrived. Broken
    /// off, the same command goes on.
    Migrate(carry::Migrate),
    /// Says in one line what a log holds: how many events, and the root of a Merkle tree over them.
    Digest(carry::DigestOf),
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

    fn request_after(&self, after: Option<u64>) -> Value {
        let mut request = self.request();
        if let Some(position) = after {
            request["after_position"] = json!(position.to_string());
        }
        request
    }
}

async fn export(session: &Session, mut request: Value, format: Format, after: Option<u64>) -> anyhow::Result<()> {
    let mut last = after.map(|position| position.to_string());
    let broken = |last: &Option<String>| match last {
        Some(position) => format!("the export is not complete; go on with `--after {position}`"),
        None => "the export is not complete".to_owned(),
    };
    if format == Format::Cloudevents {
        let mut events = session.stream("ledger.v1.LedgerService/ExportCloudEvents", request).await?;
        while let Some(event) = events.next().await.with_context(|| broken(&last))? {
            format.record(&event, EXPORTED)?;
            last = Some(text(&event["position"]));
        }
        return Ok(());
    }
    request["order"] = json!("ORDER_OLDEST_FIRST");
    let mut pages = session.pages("ledger.v1.LedgerService/ListEvents", request, Query::new())?;
    if after.is_none() {
        format.heading(EXPORTED)?;
    }
    while let Some(page) = pages.next().await.with_context(|| broken(&last))? {
        for event in page {
            format.record(&event, EXPORTED)?;
            last = Some(text(&event["position"]));
        }
    }
    Ok(())
}

/// Adds what an event says beyond the name of what it happened to, in short.
fn tell(event: &mut Value) {
    if let Some(points) = points::summary(&event["data"]) {
        event["story"] = json!(points);
        return;
    }
    let fields = event["data"].as_object().into_iter().flatten().filter(|(_, value)| **value != event["resource"]);
    let parts: Vec<String> = fields.map(|(key, value)| format!("{key}={}", brief(value))).collect();
    let mut story = parts.join(", ");
    if let Some((end, _)) = story.char_indices().nth(STORY_CHARS_MAX) {
        story.truncate(end);
        story.push('…');
    }
    event["story"] = json!(story);
}

/// Of a list, how it begins and how long it is.
fn brief(value: &Value) -> String {
    const SHOWN_MAX: usize = 3;
    match value {
        Value::Array(items) if items.len() > SHOWN_MAX => {
            let shown: Vec<String> = items[..SHOWN_MAX].iter().map(brief).collect();
            format!("[{}, … {} in all]", shown.join(", "), items.len())
        }
        // JSON's numbers have no whole ones: as a person writes it.
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
        other => text(other),
    }
}

pub async fn run(connection: Connection, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Export { copy, .. } if copy.is_wanted() => carry::copy(connection.output(), copy).await,
        Command::Import(command) => carry::import(connection.output(), command).await,
        Command::Migrate(command) => carry::migrate(connection.output(), command).await,
        Command::Digest(command) => carry::digest_of(connection.output(), command).await,
        Command::List { filter, limit } => {
            let rpc = "ledger.v1.LedgerService/ListEvents";
            connection.open()?.show(rpc, filter.request(), Items::new(COLUMNS), limit).await
        }
        Command::History { name, limit } => {
            let rpc = "ledger.v1.LedgerService/ReadResourceHistory";
            connection.open()?.show(rpc, json!({"name": name}), Items::new(HISTORY).with(tell), limit).await
        }
        Command::Export { filter, format, after, .. } => {
            let format = format.context("--format is missing")?;
            export(&connection.open()?, filter.request_after(after), format, after).await
        }
        Command::Tail { filter, after } => {
            let request = filter.request_after(after);
            let session = connection.open()?;
            let mut lines = session.stream("ledger.v1.LedgerService/TailEvents", request).await?;
            while let Some(mut event) = lines.next().await? {
                if session.output.is_json {
                    line(&event.to_string())?;
                } else {
                    tell(&mut event);
                    let paths = ["position", "event_time", "type", "resource", "principal", "story"];
                    line(&paths.map(|path| text(at(&event, path))).join("  "))?;
                }
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_leaves_out_the_name_and_stays_short() {
        let mut event = json!({
            "resource": "projects/a/runs/1",
            "data": {"run": "projects/a/runs/1", "revision": 1.0, "steps": ["1", "2", "3", "4"], "text": "x".repeat(500)},
        });
        tell(&mut event);
        let story = event["story"].as_str().unwrap();
        assert!(story.starts_with("revision=1, steps=[1, 2, 3, … 4 in all], text=xxx"), "{story}");
        assert_eq!(story.chars().count(), STORY_CHARS_MAX + 1);
    }
}
