use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cairn_eventstore::{Filter, Memory, Recorded};
use cairn_kernel::Position;
use cairn_projection::rusqlite::{Connection, Transaction};
use cairn_projection::{Past, PastFault, Projection, ProjectionFault, QueryFault, ReadModel};
use proptest::prelude::*;

use crate::support::{Words, say, soon, stop, text};

/// Keys and values, changed in every way that SQL can change a row.
struct Shelf;

impl Projection for Shelf {
    const NAME: &'static str = "test.shelf.v1";
    const SCHEMA: &'static str = "
        CREATE TABLE item (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value TEXT NOT NULL);
        CREATE INDEX item_by_value ON item (value DESC, key);
        CREATE TABLE value (text TEXT PRIMARY KEY, uses INTEGER NOT NULL) WITHOUT ROWID;
    ";
    const READER_INDEXES: &'static [&'static str] = &["item_by_value"];
    const PAST: Option<&'static str> = Some("test.shelf.v1.past");

    fn filter(&self) -> Filter {
        Filter::categories(["shelf"])
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        for event in events {
            let said = text(event)?;
            let [act, key, value] = said.splitn(3, ' ').collect::<Vec<_>>()[..] else { continue };
            match act {
                "put" => {
                    let sql = "INSERT INTO item (key, value) VALUES (?1, ?2)
                               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                    tx.execute(sql, [key, value])?;
                }
                // Takes the row of that key away, and gives it another number.
                "replace" => {
                    tx.execute("INSERT OR REPLACE INTO item (key, value) VALUES (?1, ?2)", [key, value])?;
                }
                "rename" => {
                    tx.execute("UPDATE OR REPLACE item SET key = ?2, id = id + 100 WHERE key = ?1", [key, value])?;
                }
                "drop" => {
                    tx.execute("DELETE FROM item WHERE key = ?1", [key])?;
                }
                // Several states within one event.
                "flicker" => {
                    tx.execute("DELETE FROM item WHERE key = ?1", [key])?;
                    tx.execute("INSERT INTO item (key, value) VALUES (?1, 'gone at once')", [key])?;
                    tx.execute("UPDATE item SET value = ?2 WHERE key = ?1", [key, value])?;
                }
                _ => {
                    tx.execute("UPDATE item SET value = ?1", [value])?;
                }
            }
            tx.execute("DELETE FROM value", [])?;
            tx.execute("INSERT INTO value SELECT value, count(*) FROM item GROUP BY value", [])?;
        }
        Ok(())
    }
}

type Shown = (BTreeMap<String, String>, Vec<String>, Vec<String>);

/// Everything there is, by several ways to ask.
async fn shown(model: &ReadModel) -> Shown {
    let ask = |db: &Connection| {
        let pair = |row: &cairn_projection::rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let items = db.prepare_cached("SELECT key, value FROM item")?.query_map([], pair)?.collect::<Result<_, _>>()?;
        let mut sorted = db.prepare_cached("SELECT key FROM item WHERE value > 'a' ORDER BY value DESC, key")?;
        let sorted = sorted.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut joined = db.prepare_cached(
            "SELECT v.text || v.uses FROM value v WHERE EXISTS (SELECT 1 FROM item i WHERE i.value = v.text)",
        )?;
        let joined = joined.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok((items, sorted, joined))
    };
    model.query(ask).await.unwrap()
}

fn past(store: &Memory, folder: &Path) -> Past {
    Past::start(Arc::new(store.clone()), &folder.join("past.sqlite"), 2, Shelf).unwrap()
}

/// Says one thing after the other, and keeps what a running view showed after each.
async fn live(store: &Memory, folder: &Path, acts: &[String]) -> Vec<(Position, Shown)> {
    let model = ReadModel::open(&folder.join("live.sqlite"), 2).unwrap();
    let view = cairn_projection::View::start(Arc::new(store.clone()), &model, Shelf).unwrap();
    let mut seen = vec![];
    for act in acts {
        let position = say(store, "shelf-a", &[act]).await;
        view.reached(position, soon()).await.unwrap();
        seen.push((position, shown(&model).await));
    }
    stop(view).await;
    seen
}

async fn assert_shows(past: &Past, seen: &[(Position, Shown)]) {
    for (position, expected) in seen {
        let model = past.at(*position, soon()).await.unwrap();
        assert_eq!(&shown(&model).await, expected, "at {position}");
    }
}

fn act() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["a", "b", "c"]);
    let word = prop::sample::select(vec!["put", "put", "replace", "rename", "drop", "flicker", "all"]);
    (word, key, prop::sample::select(vec!["b", "x", "y", "z"]))
        .prop_map(|(act, key, value)| format!("{act} {key} {value}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn at_each_position_the_past_shows_what_was_shown_then(acts in prop::collection::vec(act(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = Memory::new();
            let seen = live(&store, folder.path(), &acts).await;

            // From nothing, in one batch.
            let kept = past(&store, folder.path());
            assert_shows(&kept, &seen).await;
            assert!(kept.view().verify().await.unwrap().is_equal());
            // Put in place of itself, and after a restart.
            kept.view().rebuild().await.unwrap();
            assert_shows(&kept, &seen).await;
            let position = say(&store, "shelf-a", &["put a after"]).await;
            kept.view().reached(position, soon()).await.unwrap();
            assert_shows(&kept, &seen).await;
            assert!(kept.view().verify().await.unwrap().is_equal());
            stop(kept.view().clone()).await;
            assert_shows(&past(&store, folder.path()), &seen).await;
        });
    }
}

#[tokio::test]
async fn before_the_first_event_there_is_nothing_and_after_the_last_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let store = Memory::new();
    let kept = past(&store, folder.path());
    let head = say(&store, "shelf-a", &["put a x"]).await;
    assert_eq!(shown(&kept.at(Position(0), soon()).await.unwrap()).await, Shown::default());
    let ahead = kept.at(Position(head.0 + 1), soon()).await;
    assert!(matches!(ahead, Err(PastFault::Ahead { asked, head: at }) if asked.0 == head.0 + 1 && at == head));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_changes_no_past() {
    let folder = tempfile::tempdir().unwrap();
    let store = Memory::new();
    let first = say(&store, "shelf-a", &["put a x"]).await;
    let poison = say(&store, "shelf-a", &["poison"]).await;
    let last = say(&store, "shelf-a", &["put a y"]).await;
    let kept = past(&store, folder.path());
    let values = |items: Shown| items.0.into_values().collect::<Vec<_>>();
    for (position, value) in [(first, "x"), (poison, "x"), (last, "y")] {
        assert_eq!(values(shown(&kept.at(position, soon()).await.unwrap()).await), [value]);
    }
    assert_eq!(kept.view().state().quarantined, 1);
}

#[tokio::test]
async fn moments_that_are_read_at_the_same_time_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let store = Memory::new();
    let acts: Vec<_> = (0..50).map(|at| format!("put a {at:03}")).collect();
    let seen = live(&store, folder.path(), &acts).await;
    let kept = past(&store, folder.path());
    let asking = seen.iter().cycle().take(400).map(|(position, expected)| {
        let kept = kept.clone();
        async move { assert_eq!(&shown(&kept.at(*position, soon()).await.unwrap()).await, expected) }
    });
    futures::future::join_all(asking).await;
}

#[tokio::test]
async fn a_view_that_names_no_past_keeps_none() {
    let folder = tempfile::tempdir().unwrap();
    let started = Past::start(Arc::new(Memory::new()), &folder.path().join("past.sqlite"), 2, Words);
    assert!(matches!(started, Err(QueryFault::Conflict(problem)) if problem.contains("test.words.v1")));
}
