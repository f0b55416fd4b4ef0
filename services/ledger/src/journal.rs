use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use cairn_contract::Contract;
use cairn_contract::cairn::ledger::v1::Outcome;
use cairn_eventstore::{Filter, Recorded};
use cairn_kernel::Name;
use cairn_projection::{Copied, Projection, ProjectionFault};
use rusqlite::{CachedStatement, Transaction, params};
use serde::{Deserialize, Deserializer};

use crate::names;
use cairn_service::entry::{Entry, changed, is_call};

/// One row per event of the whole log, to find positions by. Events that the log keeps only the newest of have none: a
/// view that named what is gone would not be what a rebuild makes.
///
/// Rows are numbers: every text is kept once in `word`. Names that people look for are in `part`, under each part. Times need no index, since they never run backwards along
/// positions. Each index ends in the position, so each filter finds its newest rows first.
pub struct Journal;

/// Categories of streams that are not kept whole.
static PASSING: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let contract = Contract::embedded().expect("a process starts only on a contract that loads");
    let passing = contract.events().filter(|event| event.kept_max.is_some());
    passing.map(|event| event.category.as_str()).collect()
});

impl Projection for Journal {
    const NAME: &'static str = "ledger.journal.v3";

    const SCHEMA: &'static str = "
        CREATE TABLE word (
            id INTEGER PRIMARY KEY,
            text TEXT NOT NULL UNIQUE
        ) STRICT;
        CREATE TABLE part (
            text TEXT NOT NULL,
            word INTEGER NOT NULL,
            PRIMARY KEY (text, word)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE entry (
            position INTEGER PRIMARY KEY,
            time_micros INTEGER NOT NULL,
            outcome INTEGER NOT NULL,
            kind INTEGER NOT NULL,
            stream INTEGER NOT NULL,
            category INTEGER NOT NULL,
            principal INTEGER NOT NULL,
            action INTEGER NOT NULL,
            resource INTEGER NOT NULL,
            project INTEGER,
            request INTEGER
        ) STRICT;
        CREATE INDEX entry_by_kind ON entry (kind);
        CREATE INDEX entry_by_stream ON entry (stream);
        CREATE INDEX entry_by_principal ON entry (principal);
        CREATE INDEX entry_by_action ON entry (action);
        CREATE INDEX entry_by_resource ON entry (resource);
        CREATE INDEX entry_by_project ON entry (project) WHERE project IS NOT NULL;
        CREATE INDEX entry_by_request ON entry (request) WHERE request IS NOT NULL;
        CREATE INDEX entry_by_refusal ON entry (outcome) WHERE outcome <> 1;
    ";

    const COPIED: Option<Copied> = Some(Copied { readable: include_str!("readable.sql"), ..Copied::WHOLE });

    const READER_INDEXES: &'static [&'static str] = &[
        "entry_by_kind",
        "entry_by_stream",
        "entry_by_principal",
        "entry_by_action",
        "entry_by_resource",
        "entry_by_project",
        "entry_by_request",
        "entry_by_refusal",
    ];

    fn filter(&self) -> Filter {
        Filter::all()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        let mut words = Words::new(tx)?;
        let mut places = Places::default();
        let mut insert =
            tx.prepare_cached("INSERT INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?;
        for event in events.iter().filter(|event| !PASSING.contains(event.stream.category())) {
            let row = match is_call(event) {
                true => Row::of_call(&Entry::of(event)?, &mut words)?,
                false => Row::of_change(event, &mut words, &mut places)?,
            };
            insert.execute(params![
                event.position.0.cast_signed(),
                event.time.micros(),
                row.outcome as i32,
                words.id(&event.kind)?,
                words.id(event.stream.as_str())?,
                words.id(event.stream.category())?,
                row.principal,
                row.action,
                row.place.resource,
                row.place.project,
                row.request,
            ])?;
        }
        Ok(())
    }
}

/// What the journal keeps of an [`Entry`].
struct Row {
    outcome: Outcome,
    principal: i64,
    action: i64,
    place: Place,
    request: Option<i64>,
}

/// Where an event lies.
#[derive(Clone, Copy)]
struct Place {
    resource: i64,
    project: Option<i64>,
}

/// Where the last change of each stream lay, under the name its command gave: most of a stream's lie in one place.
type Places = HashMap<i64, (String, Place)>;

/// The part of an event's metadata that the journal keeps, read without copying.
///
/// INVARIANT: reads exactly what [`cairn_kernel::Metadata`] reads. Foreign metadata that is not ours in one field is
/// not ours at all, or an event would be found in a place where it does not lie.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Brief<'a> {
    #[serde(borrow)]
    principal: Cow<'a, str>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    resource: Cow<'a, str>,
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    #[serde(rename = "on_behalf_of")]
    _on_behalf_of: Option<Text>,
    #[serde(rename = "project")]
    _project: Option<Text>,
    #[serde(rename = "request_hash")]
    _request_hash: Option<Text>,
    #[serde(rename = "$correlationId")]
    _correlation_id: Text,
    #[serde(rename = "$causationId")]
    _causation_id: Option<Text>,
    #[serde(rename = "traceparent")]
    _traceparent: Option<Text>,
    #[serde(rename = "source_address")]
    _source_address: Option<Text>,
    #[serde(rename = "decision_id")]
    _decision_id: Option<Text>,
    #[serde(rename = "policy_position")]
    _policy_position: Option<u64>,
    #[serde(rename = "break_glass")]
    _break_glass: Option<Text>,
    #[serde(rename = "credential")]
    _credential: Option<Text>,
    #[serde(rename = "scopes")]
    _scopes: Vec<Text>,
}

/// Any text, passed over.
#[derive(Default)]
struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <Cow<'de, str>>::deserialize(deserializer).map(|_| Self)
    }
}

impl Row {
    fn of_call(entry: &Entry, words: &mut Words<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            outcome: entry.outcome,
            principal: words.name(&entry.metadata.principal)?,
            action: words.name(&entry.action)?,
            place: Place::of(&entry.resource, words)?,
            request: request(&entry.metadata.request_id),
        })
    }

    /// The same that [`Entry::of`] tells, for less: nearly all events are changes.
    fn of_change(event: &Recorded, words: &mut Words<'_>, places: &mut Places) -> Result<Self, rusqlite::Error> {
        let brief: Brief<'_> = serde_json::from_slice(&event.metadata).unwrap_or_default();
        let stream = words.id(event.stream.as_str())?;
        let place = match places.get(&stream) {
            Some((named, place)) if *named == brief.resource => *place,
            _ => {
                let place = Place::of(&changed(&event.stream, &brief.resource), words)?;
                places.insert(stream, (brief.resource.clone().into_owned(), place));
                place
            }
        };
        Ok(Self {
            outcome: Outcome::Committed,
            principal: words.name(&brief.principal)?,
            action: words.name(&brief.action)?,
            place,
            request: request(&brief.request_id),
        })
    }
}

impl Place {
    fn of(resource: &Name, words: &mut Words<'_>) -> Result<Self, rusqlite::Error> {
        let project = resource.project().map(|project| words.id(project.as_str())).transpose()?;
        let mut id = 0;
        // What lies above is found by its own name, and through it this.
        for name in names::line_of(resource.as_str()) {
            id = words.name(name)?;
        }
        Ok(Self { resource: id, project })
    }
}

fn request(id: &str) -> Option<i64> {
    (!id.is_empty()).then(|| fingerprint(id))
}

/// Stands for a text of which there are as many as rows. Two texts may share one: whoever finds a row by it compares the
/// text itself.
pub fn fingerprint(text: &str) -> i64 {
    // FNV-1a: stored, so it must not change with the version of anybody's hasher.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash.cast_signed()
}

/// The numbers of texts, looked up once per batch.
struct Words<'tx> {
    known: HashMap<String, i64>,
    find: CachedStatement<'tx>,
    add: CachedStatement<'tx>,
    /// Those that are found by their parts already.
    named: HashSet<i64>,
    part: CachedStatement<'tx>,
}

impl<'tx> Words<'tx> {
    fn new(tx: &'tx Transaction<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            known: HashMap::new(),
            find: tx.prepare_cached("SELECT id FROM word WHERE text = ?1")?,
            add: tx.prepare_cached("INSERT INTO word (text) VALUES (?1) RETURNING id")?,
            named: HashSet::new(),
            part: tx.prepare_cached("INSERT OR IGNORE INTO part (text, word) VALUES (?1, ?2)")?,
        })
    }

    /// The number of a name, which from now on is found by its parts.
    fn name(&mut self, text: &str) -> Result<i64, rusqlite::Error> {
        let id = self.id(text)?;
        if self.named.insert(id) {
            for part in names::parts(text) {
                self.part.execute(params![part, id])?;
            }
        }
        Ok(id)
    }

    fn id(&mut self, text: &str) -> Result<i64, rusqlite::Error> {
        if let Some(id) = self.known.get(text) {
            return Ok(*id);
        }
        let found = self.find.query_row([text], |row| row.get(0));
        let id = match found {
            Err(rusqlite::Error::QueryReturnedNoRows) => self.add.query_row([text], |row| row.get(0))?,
            found => found?,
        };
        self.known.insert(text.to_owned(), id);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use cairn_kernel::Metadata;

    use super::*;

    #[test]
    fn the_part_that_is_read_is_that_of_the_whole() {
        let whole = Metadata {
            principal: "users/a".into(),
            on_behalf_of: Some("users/b".into()),
            project: Some("projects/p".into()),
            action: "a.b.c".into(),
            resource: "projects/p".into(),
            request_id: "with \"escapes\" \u{1}".into(),
            request_hash: Some("h".into()),
            correlation_id: "c".into(),
            causation_id: Some("d".into()),
            traceparent: Some("t".into()),
            source_address: Some("192.0.2.1".into()),
            decision_id: Some("e".into()),
            policy_position: Some(7),
            guarded: Some("{}".into()),
            break_glass: Some("organizations/o/breakGlassActivations/a".into()),
            credential: Some("k".into()),
            scopes: vec!["projects/p".into()],
        };
        let mut samples = vec![
            whole.encode(),
            Metadata::default().encode(),
            b"not json".to_vec(),
            b"\xff".to_vec(),
            br#"{"principal": "users/a", "foreign": {"deep": 1}}"#.to_vec(),
            br#"{"principal": "users/a", "principal": "users/b"}"#.to_vec(),
            br#"{"principal": "users/a", "decision_id": null}"#.to_vec(),
            br#"{"principal": "users/a", "$correlationId": null}"#.to_vec(),
        ];
        for field in ["principal", "on_behalf_of", "project", "action", "resource", "request_id", "request_hash"] {
            samples.push(format!(r#"{{"action": "x", "resource": "projects/a", "{field}": 5}}"#).into_bytes());
        }
        for (field, other) in
            [("policy_position", r#""7""#), ("credential", "5"), ("scopes", r#""all""#), ("scopes", "[5]")]
        {
            samples.push(format!(r#"{{"action": "x", "resource": "projects/a", "{field}": {other}}}"#).into_bytes());
        }
        for field in ["$correlationId", "$causationId", "traceparent", "source_address", "decision_id", "break_glass"] {
            samples.push(format!(r#"{{"action": "x", "resource": "projects/a", "{field}": 5}}"#).into_bytes());
        }
        for sample in samples {
            let whole = Metadata::decode(&sample);
            let brief: Brief<'_> = serde_json::from_slice(&sample).unwrap_or_default();
            let found = [&*brief.principal, &brief.action, &brief.resource, &brief.request_id];
            let expected = [&whole.principal, &whole.action, &whole.resource, &whole.request_id];
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(&sample));
        }
    }
}
