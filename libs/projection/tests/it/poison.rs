use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cairn_eventstore::{Filter, Memory, Recorded};
use cairn_projection::rusqlite::{self, Transaction, ffi};
use cairn_projection::{Projection, ProjectionFault, ReadModel, View};

use crate::beside::always;
use crate::support::{Kinds, Words, counted, model, said, say, soon, stop, words};

async fn set_aside(model: &ReadModel) -> Vec<(i64, String, String)> {
    let query = "SELECT position, kind, error FROM cairn_quarantine ORDER BY position";
    let rows = model.query(move |connection| {
        let mut statement = connection.prepare(query)?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    });
    rows.await.unwrap()
}

#[tokio::test]
async fn a_poison_event_is_set_aside_and_the_world_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    say(&store, "words-a", &["one", "poison", "two", "panic", "three"]).await;
    let view = words(&store, &model);
    let position = say(&store, "words-a", &["four"]).await;
    view.reached(position, soon()).await.unwrap();

    assert_eq!(said(&model).await, ["one", "two", "three", "four"]);
    assert_eq!(counted(&model).await, 4, "what was tried twice was counted once");
    let aside = set_aside(&model).await;
    assert_eq!(aside.iter().map(|(position, ..)| *position).collect::<Vec<_>>(), [2, 4]);
    assert!(aside[0].2.contains("poison"), "{}", aside[0].2);
    assert_eq!(aside[1].2, "panicked: cannot bear this word");
    assert_eq!(view.state().quarantined, 2);
    assert_eq!(view.state().trouble, None);
}

#[tokio::test]
async fn what_was_set_aside_is_remembered_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    view.reached(say(&store, "words-a", &["poison"]).await, soon()).await.unwrap();
    stop(view).await;
    let view = words(&store, &model);
    assert_eq!(view.state().quarantined, 1);
    assert_eq!(set_aside(&model).await.len(), 1);
}

/// Fails a few times as SQLite does.
struct Fails {
    with: (rusqlite::ErrorCode, i32),
    times: AtomicU32,
}

const FULL: (rusqlite::ErrorCode, i32) = (rusqlite::ErrorCode::DiskFull, ffi::SQLITE_FULL);
const CORRUPT: (rusqlite::ErrorCode, i32) = (rusqlite::ErrorCode::DatabaseCorrupt, ffi::SQLITE_CORRUPT);

impl Fails {
    fn new(with: (rusqlite::ErrorCode, i32), times: u32) -> Self {
        Self { with, times: AtomicU32::new(times) }
    }
}

impl Projection for Fails {
    const NAME: &'static str = Words::NAME;
    const SCHEMA: &'static str = Words::SCHEMA;

    fn filter(&self) -> Filter {
        Words.filter()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        Words.apply(tx, events)?;
        let fails = self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let fault = ffi::Error { code: self.with.0, extended_code: self.with.1 };
        if fails { Err(rusqlite::Error::SqliteFailure(fault, None).into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_full_disk_is_waited_out_and_blamed_on_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = View::start(Arc::new(store.clone()), &model, Fails::new(FULL, 3)).unwrap();
    let position = say(&store, "words-a", &["one", "two"]).await;
    view.reached(position, soon()).await.unwrap();
    assert_eq!((said(&model).await.len(), counted(&model).await), (2, 2));
    assert_eq!((view.state().quarantined, view.state().trouble), (0, None));
}

#[tokio::test]
async fn a_view_that_cannot_be_built_beside_its_file_follows_the_log_instead() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let position = say(&store, "words-a", &["one", "two"]).await;
    let view = View::start_with(Arc::new(store.clone()), &model, Fails::new(FULL, 1), always()).unwrap();
    view.reached(position, soon()).await.unwrap();
    assert_eq!((said(&model).await.len(), counted(&model).await), (2, 2));
    assert_eq!((view.state().quarantined, view.state().trouble), (0, None));
}

#[tokio::test]
async fn a_view_that_cannot_write_says_why_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = View::start(Arc::new(store.clone()), &model, Fails::new(FULL, u32::MAX)).unwrap();
    say(&store, "words-a", &["one"]).await;
    let deadline = soon();
    while view.state().trouble.is_none() {
        assert!(tokio::time::Instant::now() < deadline, "no trouble was reported");
        tokio::task::yield_now().await;
    }
    assert_eq!(view.lag(), 1);
    stop(view.clone()).await;
    assert!(view.state().is_stopped, "trouble does not keep it from stopping");
}

#[tokio::test]
async fn a_file_found_corrupt_is_made_anew_with_all_its_views() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let kinds = View::start(Arc::new(store.clone()), &model, Kinds).unwrap();
    kinds.reached(say(&store, "words-a", &["one", "two"]).await, soon()).await.unwrap();
    let before = std::fs::File::open(model.path()).unwrap(); // Held, so that its number is not given to another.

    let view = View::start(Arc::new(store.clone()), &model, Fails::new(CORRUPT, 1)).unwrap();
    let position = say(&store, "words-a", &["three"]).await;
    view.reached(position, soon()).await.unwrap();
    let after = std::fs::metadata(model.path()).unwrap();
    assert_ne!(after.ino(), before.metadata().unwrap().ino(), "it is another file");
    assert_eq!(counted(&model).await, 3);
    let deadline = soon();
    let count = "SELECT coalesce(sum(events), 0) FROM kind";
    while model.query(move |c| c.query_row(count, [], |row| row.get::<_, i64>(0))).await.unwrap() != 3 {
        assert!(tokio::time::Instant::now() < deadline, "the other view did not start over");
    }
}

#[tokio::test]
async fn another_writer_of_the_same_view_stops_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    view.reached(say(&store, "words-a", &["one"]).await, soon()).await.unwrap();
    let other = rusqlite::Connection::open(model.path()).unwrap();
    other.execute("UPDATE cairn_view SET position = 5 WHERE name = ?1", [Words::NAME]).unwrap();
    let position = say(&store, "words-a", &["two"]).await;
    assert!(view.reached(position, soon()).await.is_err());
    assert!(view.state().is_stopped);
    assert_eq!(said(&model).await, ["one"], "nothing was written under a checkpoint that is not ours");
}
