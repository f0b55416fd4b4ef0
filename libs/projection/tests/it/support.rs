use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::{DecodeFault, EventStore, Filter, Memory, NewEvent, Recorded, Write};
use cairn_kernel::{Expected, Position, StreamName};
use cairn_projection::rusqlite::{Connection, Transaction};
use cairn_projection::{Projection, ProjectionFault, ReadModel, View};
use tokio::time::Instant;
use uuid::Uuid;

/// Keeps every word and counts the words of each stream. Counting makes a word seen twice visible.
pub struct Words;

impl Projection for Words {
    const NAME: &'static str = "test.words.v1";
    const SCHEMA: &'static str = "
        CREATE TABLE word (position INTEGER PRIMARY KEY, stream TEXT NOT NULL, text TEXT NOT NULL) STRICT;
        CREATE INDEX word_by_text ON word (text);
        CREATE TABLE tally (stream TEXT PRIMARY KEY, words INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    ";
    const READER_INDEXES: &'static [&'static str] = &["word_by_text"];

    fn filter(&self) -> Filter {
        Filter::categories(["words"])
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        let mut insert = tx.prepare_cached("INSERT INTO word VALUES (?1, ?2, ?3)")?;
        let mut count =
            tx.prepare_cached("INSERT INTO tally VALUES (?1, 1) ON CONFLICT (stream) DO UPDATE SET words = words + 1")?;
        for event in events {
            insert.execute((event.position.0.cast_signed(), event.stream.as_str(), text(event)?))?;
            count.execute([event.stream.as_str()])?;
        }
        Ok(())
    }
}

/// Counts events by type.
pub struct Kinds;

impl Projection for Kinds {
    const NAME: &'static str = "test.kinds.v1";
    const SCHEMA: &'static str = "CREATE TABLE kind (kind TEXT PRIMARY KEY, events INTEGER NOT NULL) STRICT;";

    fn filter(&self) -> Filter {
        Filter::all()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        let mut count =
            tx.prepare_cached("INSERT INTO kind VALUES (?1, 1) ON CONFLICT (kind) DO UPDATE SET events = events + 1")?;
        for event in events {
            count.execute([&*event.kind])?;
        }
        Ok(())
    }
}

/// The word that an event carries. `poison` is none, and a word that panics does.
pub fn text(event: &Recorded) -> Result<String, DecodeFault> {
    let malformed = |message: &str| DecodeFault::Malformed { kind: event.kind.to_string(), message: message.into() };
    let text = String::from_utf8(event.payload.to_vec()).map_err(|_| malformed("not text"))?;
    match text.as_str() {
        "poison" => Err(malformed("poison")),
        "panic" => panic!("cannot bear this word"),
        _ => Ok(text),
    }
}

/// Appends words to a stream and returns the position of the last.
pub async fn say(store: &Memory, stream: &str, words: &[&str]) -> Position {
    let events = words.iter().map(|word| NewEvent {
        id: Uuid::new_v4(),
        kind: "test.Said".into(),
        payload: word.as_bytes().to_vec().into(),
        metadata: Default::default(),
    });
    let write = Write::new(StreamName::stored(stream), Expected::Any, events.collect());
    store.append(vec![write]).await.expect("append").position
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub fn model(folder: &Path) -> ReadModel {
    ReadModel::open(&folder.join("views.sqlite"), 2).expect("read model")
}

pub fn words(store: &Memory, model: &ReadModel) -> View {
    View::start(Arc::new(store.clone()), model, Words).expect("view")
}

pub async fn stop(view: View) {
    view.stop(Duration::from_secs(20)).await;
}

/// All words in order, as the view has them.
pub async fn said(model: &ReadModel) -> Vec<String> {
    model.query(|connection| column(connection, "SELECT text FROM word ORDER BY position")).await.expect("query")
}

/// How many words the view counted.
pub async fn counted(model: &ReadModel) -> i64 {
    let count = |connection: &Connection| {
        connection.query_row("SELECT coalesce(sum(words), 0) FROM tally", [], |row| row.get(0))
    };
    model.query(count).await.expect("query")
}

pub fn column(connection: &Connection, sql: &str) -> Result<Vec<String>, cairn_projection::rusqlite::Error> {
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}
