//! `cairn events`: the log itself, event by event.

use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{Column, at, line, text};
use super::points;
use super::session::{Items, Session, given};

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

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { filter, limit } => {
            let rpc = "ledger.v1.LedgerService/ListEvents";
            session.show(rpc, filter.request(), Items::new(COLUMNS), limit).await
        }
        Command::History { name, limit } => {
            let rpc = "ledger.v1.LedgerService/ReadResourceHistory";
            session.show(rpc, json!({"name": name}), Items::new(HISTORY).with(tell), limit).await
        }
        Command::Tail { filter, after } => {
            let mut request = filter.request();
            if let Some(position) = after {
                request["after_position"] = json!(position.to_string());
            }
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
