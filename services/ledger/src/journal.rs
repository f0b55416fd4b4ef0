use std::collections::HashMap;
use std::sync::Arc;

use cairn_eventstore::{Filter, Recorded};
use cairn_projection::{Projection, ProjectionFault};
use rusqlite::{CachedStatement, Transaction, params};

use crate::entry::Entry;

/// One row per event of the whole log, to find positions by.
///
/// Rows are numbers: every text is kept once in `word`. Times need no index, since they never run backwards along
/// positions. Each index ends in the position, so each filter finds its newest rows first.
pub struct Journal;

impl Projection for Journal {
    const NAME: &'static str = "ledger.journal.v1";

    const SCHEMA: &'static str = "
        CREATE TABLE word (
            id INTEGER PRIMARY KEY,
            text TEXT NOT NULL UNIQUE
        ) STRICT;
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
        let mut insert =
            tx.prepare_cached("INSERT INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?;
        for event in events {
            let entry = Entry::of(event)?;
            let project = entry.project().map(|project| words.id(project.as_str())).transpose()?;
            let request = &entry.metadata.request_id;
            insert.execute(params![
                event.position.0.cast_signed(),
                event.time.micros(),
                entry.outcome as i32,
                words.id(&event.kind)?,
                words.id(event.stream.as_str())?,
                words.id(event.stream.category())?,
                words.id(&entry.metadata.principal)?,
                words.id(&entry.action)?,
                words.id(entry.resource.as_str())?,
                project,
                (!request.is_empty()).then(|| fingerprint(request)),
            ])?;
        }
        Ok(())
    }
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
}

impl<'tx> Words<'tx> {
    fn new(tx: &'tx Transaction<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            known: HashMap::new(),
            find: tx.prepare_cached("SELECT id FROM word WHERE text = ?1")?,
            add: tx.prepare_cached("INSERT INTO word (text) VALUES (?1) RETURNING id")?,
        })
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
