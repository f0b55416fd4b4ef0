use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cairn_eventstore::Memory;
use cairn_projection::rusqlite::Connection;
use cairn_projection::{Difference, View};
use proptest::prelude::*;

use crate::support::{counted, model, said, say, soon, stop, words};

/// What is wrong with each table: its name and where it parts.
async fn differences(view: &View) -> Vec<(String, Difference)> {
    let verdict = view.verify().await.unwrap();
    let differing: Vec<_> =
        verdict.tables.iter().filter_map(|t| t.difference.clone().map(|d| (t.table.clone(), d))).collect();
    assert_eq!(verdict.is_equal(), differing.is_empty());
    differing
}

fn difference(live: Option<&str>, rebuilt: Option<&str>) -> Difference {
    Difference { live: live.map(str::to_owned), rebuilt: rebuilt.map(str::to_owned) }
}

#[tokio::test]
async fn a_view_equals_its_rebuild() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    say(&store, "words-a", &["one", "two"]).await;
    say(&store, "noise-a", &["x"; 3]).await;
    say(&store, "words-b", &["three", "poison"]).await;
    let view = words(&store, &model);
    let position = say(&store, "noise-a", &["x"; 3]).await;
    view.reached(position, soon()).await.unwrap();

    let verdict = view.verify().await.unwrap();
    assert!(verdict.is_equal(), "{verdict:?}");
    let rows: Vec<_> = verdict.tables.iter().map(|t| (t.table.as_str(), t.live.rows, t.rebuilt.rows)).collect();
    assert_eq!(rows, [("tally", 2, 2), ("word", 3, 3)]);
    assert_eq!((verdict.rebuilt.events, verdict.rebuilt.quarantined), (3, 1));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("verify")), "{left:?}");
}

#[tokio::test]
async fn verifying_names_the_table_and_the_first_key_that_differs() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    view.reached(say(&store, "words-a", &["one", "two", "three"]).await, soon()).await.unwrap();
    let meddler = Connection::open(model.path()).unwrap();

    meddler.execute("UPDATE word SET text = 'zwei' WHERE position = 2", []).unwrap();
    let same = Some("position=2");
    assert_eq!(differences(&view).await, [("word".to_owned(), difference(same, same))]);

    meddler.execute("DELETE FROM word WHERE position > 1", []).unwrap();
    assert_eq!(differences(&view).await, [("word".to_owned(), difference(None, Some("position=2")))]);

    meddler.execute("UPDATE tally SET words = 4", []).unwrap();
    let same = Some("stream='words-a'");
    assert_eq!(differences(&view).await[0], ("tally".to_owned(), difference(same, same)));
}

#[tokio::test]
async fn a_rebuild_takes_the_place_of_a_damaged_view_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    view.reached(say(&store, "words-a", &["one", "two", "poison"]).await, soon()).await.unwrap();
    let meddler = Connection::open(model.path()).unwrap();
    meddler.execute_batch("DELETE FROM word; UPDATE tally SET words = 9; DELETE FROM cairn_quarantine").unwrap();

    let rebuilt = view.rebuild().await.unwrap();
    assert_eq!((rebuilt.events, rebuilt.quarantined), (2, 1));
    assert_eq!(said(&model).await, ["one", "two"]);
    assert_eq!(view.state().quarantined, 1);
    let position = say(&store, "words-b", &["three"]).await;
    view.reached(position, soon()).await.unwrap();
    assert_eq!(said(&model).await, ["one", "two", "three"]);
    assert_eq!(differences(&view).await, []);
}

#[tokio::test]
async fn a_rebuild_under_load_loses_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    let writing = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..300 {
                say(&store, "words-a", &["one", "two", "three"]).await;
                tokio::task::yield_now().await;
            }
        }
    });
    let is_over = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn({
        let (model, is_over) = (model.clone(), Arc::clone(&is_over));
        async move {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                let now = counted(&model).await;
                assert!(now >= most, "readers were taken back from {most} words to {now}");
                most = now;
            }
        }
    });
    for _ in 0..5 {
        view.rebuild().await.unwrap();
    }
    writing.await.unwrap();
    is_over.store(true, Ordering::Relaxed);
    reading.await.unwrap();
    view.rebuild().await.unwrap();
    let position = say(&store, "words-a", &["end"]).await;
    view.reached(position, soon()).await.unwrap();
    assert_eq!(counted(&model).await, 901);
    assert_eq!(differences(&view).await, []);
}

#[tokio::test]
async fn a_long_history_of_large_events_is_read_no_further_ahead_than_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let long = "x".repeat(1 << 20);
    for _ in 0..3 {
        say(&store, "words-a", &[long.as_str(); 12]).await; // Together more than the room there is.
    }
    let view = words(&store, &model);
    view.reached(say(&store, "words-a", &["end"]).await, soon()).await.unwrap();
    assert_eq!(counted(&model).await, 37);
    assert_eq!(differences(&view).await, []);
}

#[tokio::test]
async fn two_rebuilds_at_once_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    view.reached(say(&store, "words-a", &["one", "two"]).await, soon()).await.unwrap();
    let (first, second, verdict) = tokio::join!(view.rebuild(), view.rebuild(), view.verify());
    assert_eq!((first.unwrap().events, second.unwrap().events), (2, 2));
    assert!(verdict.unwrap().is_equal());
}

#[derive(Clone, Debug)]
enum Step {
    Say { stream: u8, words: Vec<&'static str> },
    Restart,
    Rebuild,
}

fn step() -> impl Strategy<Value = Step> {
    let word = prop_oneof![8 => Just("word"), 1 => Just("poison"), 4 => Just("other")];
    prop_oneof![
        8 => (0..4u8, prop::collection::vec(word, 1..20)).prop_map(|(stream, words)| Step::Say { stream, words }),
        2 => Just(Step::Restart),
        1 => Just(Step::Rebuild),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_view_equals_its_rebuild(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (store, model) = (Memory::new(), model(folder.path()));
            let mut view = words(&store, &model);
            let mut spoken = 0;
            for step in steps {
                match step {
                    Step::Say { stream, words } => {
                        let category = if stream == 0 { "noise" } else { "words" };
                        say(&store, &format!("{category}-{stream}"), &words).await;
                        spoken += if stream == 0 { 0 } else { words.iter().filter(|w| **w != "poison").count() };
                    }
                    Step::Restart => {
                        stop(view).await;
                        view = words(&store, &model);
                    }
                    Step::Rebuild => drop(view.rebuild().await.unwrap()),
                }
            }
            let position = say(&store, "noise-end", &["x"]).await;
            view.reached(position, soon()).await.unwrap();
            assert_eq!(counted(&model).await, i64::try_from(spoken).unwrap());
            assert_eq!(differences(&view).await, []);
        });
    }
}
