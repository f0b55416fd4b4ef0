//! Views with tables of every shape, whose events are statements; and replicas of them with files of their own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::{DecodeFault, EventStore, Filter, Memory, NewEvent, Recorded, Write};
use cairn_kernel::{Expected, Position, StreamName};
use cairn_mirror::{Config, Limits, Mirror};
use cairn_projection::rusqlite::Transaction;
use cairn_projection::{Copied, Projection, ProjectionFault, ReadModel, View};
use cairn_testkit::postgres::Postgres;
use tokio::time::Instant;
use uuid::Uuid;

pub const SCHEMA: &str = "cairn_shapes";

/// Tables of every shape.
pub struct Shapes;

/// The same in a later release, with other columns.
pub struct LaterShapes;

const TABLES: &str = "
    CREATE TABLE plain (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, score REAL, data BLOB);
    CREATE INDEX plain_by_score ON plain (score);
    CREATE TABLE pair (b INTEGER NOT NULL, a TEXT NOT NULL, value TEXT, PRIMARY KEY (a, b)) STRICT, WITHOUT ROWID;
    CREATE TABLE bare (note TEXT, amount INTEGER);
    CREATE TABLE loose (k TEXT PRIMARY KEY, v DOUBLE PRECISION);
    CREATE TABLE only (x BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE \"odd \"\"name\" (\"the key\" BIGINT NOT NULL, \"order\" VARCHAR(9), PRIMARY KEY (\"the key\"));
    CREATE TABLE made (
        id INTEGER PRIMARY KEY, n INTEGER NOT NULL,
        twice INTEGER GENERATED ALWAYS AS (n * 2) STORED, thrice INTEGER AS (n * 3)
    );
    CREATE TABLE guarded (id INTEGER PRIMARY KEY, shown TEXT NOT NULL, hash BLOB NOT NULL);
    CREATE TABLE kept_here (id INTEGER PRIMARY KEY, hash BLOB NOT NULL);
    CREATE VIEW names AS SELECT name FROM plain;
";

const READABLE: &str = "
    -- For people; with a remark.
    CREATE VIEW scores AS SELECT name, score FROM plain;
    CREATE INDEX ON plain (name);
";

/// What of the tables is copied, under its name in PostgreSQL: table, columns.
pub const COPIED: &[(&str, &str, &str)] = &[
    ("plain", "plain", "id, name, score, data"),
    ("pair", "pair", "b, a, value"),
    ("bare", "bare", "rowid, note, amount"),
    ("loose", "loose", "rowid, k, v"),
    ("only", "only", "x"),
    ("\"odd \"\"name\"", "odd", "\"the key\", \"order\""),
    ("made", "made", "id, n, twice, thrice"),
    ("guarded", "guarded", "id, shown"),
];

fn apply(tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
    for event in events {
        let malformed = |fault: std::str::Utf8Error| DecodeFault::Malformed {
            kind: event.kind.to_string(),
            message: fault.to_string(),
        };
        tx.execute_batch(std::str::from_utf8(&event.payload).map_err(malformed)?)?;
    }
    Ok(())
}

impl Projection for Shapes {
    const NAME: &'static str = "test.shapes.v1";
    const SCHEMA: &'static str = TABLES;
    const READER_INDEXES: &'static [&'static str] = &["plain_by_score"];
    const COPIED: Option<Copied> = Some(Copied {
        left_out: &["kept_here", "guarded.hash"],
        renamed: &[("odd \"name", "odd")],
        readable: READABLE,
    });

    fn filter(&self) -> Filter {
        Filter::categories(["shapes"])
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        apply(tx, events)
    }
}

impl Projection for LaterShapes {
    const NAME: &'static str = "test.shapes.v2";
    const SCHEMA: &'static str =
        "CREATE TABLE plain (id INTEGER PRIMARY KEY, score REAL, name TEXT NOT NULL UNIQUE, data BLOB);";
    const COPIED: Option<Copied> =
        Some(Copied { left_out: &[], renamed: &[], readable: "CREATE VIEW scores AS SELECT id, score FROM plain;\n" });

    fn filter(&self) -> Filter {
        Filter::categories(["shapes"])
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        // Of what else there was, it knows nothing.
        let ours = events.iter().filter(|event| String::from_utf8_lossy(&event.payload).contains(" plain "));
        apply(tx, &ours.cloned().collect::<Vec<_>>())
    }
}

/// A genuine PostgreSQL.
pub fn postgres() -> Postgres {
    Postgres::started(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

pub fn limits() -> Limits {
    Limits {
        lease: Duration::from_millis(600),
        interval: Duration::from_millis(2),
        patience: Duration::from_secs(5),
        building_patience: Duration::from_secs(20),
    }
}

pub fn config(url: String) -> Config {
    Config { url, schema: SCHEMA.to_owned(), deployment: "ours".to_owned(), limits: limits() }
}

/// Appends statements, each as an event, and returns the position of the last.
pub async fn say(store: &Memory, statements: &[&str]) -> Position {
    let events = statements.iter().map(|statement| NewEvent {
        id: Uuid::new_v4(),
        kind: "test.Said".into(),
        payload: statement.as_bytes().to_vec().into(),
        metadata: Default::default(),
    });
    let write = Write::new(StreamName::stored("shapes-all"), Expected::Any, events.collect());
    store.append(vec![write]).await.expect("append").position
}

/// One process of several: a file of its own, and a copy that it may write.
pub struct Replica {
    pub folder: tempfile::TempDir,
    pub model: ReadModel,
    pub view: View,
    pub mirror: Option<Mirror>,
    pub store: Memory,
}

impl Replica {
    pub fn new(store: &Memory) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), store, Shapes)
    }

    pub fn in_folder(folder: tempfile::TempDir, store: &Memory, projection: impl Projection) -> Self {
        let model = ReadModel::open(&folder.path().join("shapes.sqlite"), 2).unwrap();
        let view = View::start(Arc::new(store.clone()), &model, projection).unwrap();
        Self { folder, model, view, mirror: None, store: store.clone() }
    }

    pub fn copies_to(mut self, config: &Config) -> Self {
        self.copy(config);
        self
    }

    /// Begins to copy, whatever it did before.
    pub fn copy(&mut self, config: &Config) {
        self.mirror = None;
        let changes = self.view.record_changes().unwrap().unwrap();
        self.mirror = Some(Mirror::start(config, vec![changes]).unwrap());
    }

    /// Ends the view and begins it again: on its file, or on none.
    pub async fn restart(self, keeps_file: bool, projection: impl Projection) -> Self {
        let Self { folder, model, view, mirror, store } = self;
        drop(mirror);
        view.stop(Duration::from_secs(20)).await;
        drop((view, model));
        if !keeps_file {
            for file in std::fs::read_dir(folder.path()).unwrap() {
                std::fs::remove_file(file.unwrap().path()).unwrap();
            }
        }
        Self::in_folder(folder, &store, projection)
    }

    pub async fn reaches(&self, position: Position) {
        self.view.reached(position, Instant::now() + Duration::from_secs(20)).await.unwrap();
    }
}
