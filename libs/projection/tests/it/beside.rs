//! Views that are built beside their file: when they have nothing yet, and when they are rebuilt.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_eventstore::{Filter, Memory, Recorded};
use cairn_projection::rusqlite::Transaction;
use cairn_projection::{Limits, Projection, ProjectionFault, QueryFault, ReadModel, View};
use parking_lot::Mutex;

use crate::support::{Words, column, counted, model, said, say, soon, stop};

/// Every view with nothing in it is built beside its file.
pub fn always() -> Limits {
    Limits { beside_events_min: 1, ..Limits::default() }
}

/// Notes into which file words are written, and with which indexes.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Vec<(String, bool)>>>);

impl Projection for Watched {
    const NAME: &'static str = Words::NAME;
    const SCHEMA: &'static str = Words::SCHEMA;
    const READER_INDEXES: &'static [&'static str] = Words::READER_INDEXES;

    fn filter(&self) -> Filter {
        Words.filter()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        let file = tx.path().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
        self.0.lock().push((file, !indexes(tx).is_empty()));
        Words.apply(tx, events)
    }
}

fn indexes(connection: &cairn_projection::rusqlite::Connection) -> Vec<String> {
    column(connection, "SELECT name FROM sqlite_schema WHERE name = 'word_by_text'").unwrap()
}

async fn files(model: &ReadModel) -> BTreeSet<String> {
    let folder = std::fs::read_dir(model.path().parent().unwrap()).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("test.words")).collect()
}

#[tokio::test]
async fn a_view_with_nothing_in_it_is_built_beside_its_file_and_readers_indexes_come_last() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let position = say(&store, "words-a", &["one", "two", "poison"]).await;
    let watched = Watched::default();
    let view = View::start_with(Arc::new(store.clone()), &model, watched.clone(), always()).unwrap();
    view.reached(position, soon()).await.unwrap();
    let position = say(&store, "words-a", &["three"]).await;
    view.reached(position, soon()).await.unwrap();
    view.rebuild().await.unwrap();

    let seen: Vec<_> = watched.0.lock().clone();
    let wrote = |file: &str, has_index: bool| seen.contains(&(file.to_owned(), has_index));
    assert!(wrote("views.sqlite.test.words.v1.first", false), "{seen:?}");
    assert!(wrote("views.sqlite", true), "what comes later is written to the file itself: {seen:?}");
    assert!(wrote("views.sqlite.test.words.v1.rebuild", false), "{seen:?}");
    assert!(!wrote("views.sqlite", false), "{seen:?}");

    assert_eq!((said(&model).await.len(), counted(&model).await), (3, 3));
    assert_eq!(view.state().quarantined, 1);
    assert_eq!(model.query(|connection| Ok(indexes(connection).len())).await.unwrap(), 1);
    assert!(view.verify().await.unwrap().is_equal());
    assert_eq!(files(&model).await, BTreeSet::new(), "nothing is left of it");
}

#[tokio::test]
async fn what_a_killed_build_has_left_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    for purpose in ["first", "rebuild", "verify"] {
        std::fs::write(folder.path().join(format!("views.sqlite.test.words.v1.{purpose}")), "half").unwrap();
    }
    let view = View::start(Arc::new(store), &model, Words).unwrap();
    assert_eq!(files(&model).await, BTreeSet::new());
    stop(view).await;
}

/// The words again, with indexes that cannot be made last.
struct Wrong<const UNIQUE: bool>;

impl<const UNIQUE: bool> Projection for Wrong<UNIQUE> {
    const NAME: &'static str = "test.wrong.v1";
    const SCHEMA: &'static str = "CREATE TABLE one (a TEXT); CREATE UNIQUE INDEX one_by_a ON one (a);";
    const READER_INDEXES: &'static [&'static str] = if UNIQUE { &["one_by_a"] } else { &["two_by_a"] };

    fn filter(&self) -> Filter {
        Words.filter()
    }

    fn apply(&self, _: &Transaction<'_>, _: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        Ok(())
    }
}

#[tokio::test]
async fn an_index_that_is_unique_or_unknown_cannot_come_last() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let unique = View::start(Arc::new(store.clone()), &model, Wrong::<true>).map(|_| ());
    assert!(matches!(unique, Err(QueryFault::Conflict(problem)) if problem.contains("one_by_a")));
    let unknown = View::start(Arc::new(store), &model, Wrong::<false>).map(|_| ());
    assert!(matches!(unknown, Err(QueryFault::Conflict(problem)) if problem.contains("two_by_a")));
}

/// Words found by hidden row numbers, with gaps, in a table with an index and in one without.
struct Numbered;

impl Projection for Numbered {
    const NAME: &'static str = "test.numbered.v1";
    const SCHEMA: &'static str = "CREATE TABLE plain (text TEXT); CREATE TABLE keyed (text TEXT PRIMARY KEY);";

    fn filter(&self) -> Filter {
        Words.filter()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        for event in events {
            let word = String::from_utf8_lossy(&event.payload).into_owned();
            tx.execute("INSERT INTO plain VALUES (?1)", [&word])?;
            tx.execute("INSERT INTO keyed VALUES (?1)", [&word])?;
            // Leaves a gap at the beginning.
            tx.execute_batch("DELETE FROM plain WHERE rowid = 1 AND EXISTS (SELECT 1 FROM plain WHERE rowid = 2)")?;
            tx.execute_batch("DELETE FROM keyed WHERE rowid = 1 AND EXISTS (SELECT 1 FROM keyed WHERE rowid = 2)")?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn hidden_row_numbers_survive_a_rebuild() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = View::start(Arc::new(store.clone()), &model, Numbered).unwrap();
    let position = say(&store, "words-a", &["b", "x", "a"]).await;
    view.reached(position, soon()).await.unwrap();
    let numbers = || async {
        let rows = "SELECT rowid || text FROM plain UNION ALL SELECT rowid || text FROM keyed";
        model.query(move |connection| column(connection, rows)).await.unwrap()
    };
    let before = numbers().await;
    assert_eq!(before, ["2x", "3a", "2x", "3a"]);
    view.rebuild().await.unwrap();
    assert_eq!(numbers().await, before);
}
