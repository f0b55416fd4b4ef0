//! The process dies between two steps of a batch: what the operating system has of the files at that moment is all
//! that a restart finds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_eventstore::{Filter, Memory, Recorded};
use cairn_kernel::Position;
use cairn_projection::rusqlite::functions::FunctionFlags;
use cairn_projection::rusqlite::{self, Transaction};
use cairn_projection::{Projection, ProjectionFault, View};
use parking_lot::Mutex;

use crate::beside::always;
use crate::support::{Words, counted, model, said, say, soon, stop, words};

/// Copies the files at every step: as a process leaves them that is killed there.
#[derive(Clone)]
struct Crashes {
    live: PathBuf,
    copies: PathBuf,
    steps: Arc<Mutex<Vec<(&'static str, PathBuf)>>>,
}

impl Crashes {
    fn at(&self, step: &'static str) {
        let mut steps = self.steps.lock();
        let copy = self.copies.join(steps.len().to_string());
        std::fs::create_dir_all(&copy).unwrap();
        for entry in std::fs::read_dir(&self.live).unwrap() {
            let file = entry.unwrap().path();
            // The shared memory is gone with the process.
            if !file.to_string_lossy().ends_with("-shm") {
                std::fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
            }
        }
        steps.push((step, copy));
    }
}

impl Projection for Crashes {
    const NAME: &'static str = Words::NAME;
    const SCHEMA: &'static str = Words::SCHEMA;

    fn filter(&self) -> Filter {
        Words.filter()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        self.at("before the first row");
        let (first, rest) = events.split_at(events.len() / 2);
        Words.apply(tx, first)?;
        self.at("between two rows");
        Words.apply(tx, rest)?;
        self.at("between the rows and the checkpoint");
        self.watch_checkpoint(tx)?;
        Ok(())
    }
}

impl Crashes {
    fn watch_checkpoint(&self, tx: &Transaction<'_>) -> Result<(), rusqlite::Error> {
        let crashes = self.clone();
        tx.create_scalar_function("crash", 0, FunctionFlags::SQLITE_UTF8, move |_| {
            crashes.at("between the checkpoint and the commit");
            Ok(1)
        })?;
        tx.execute_batch(
            "CREATE TEMP TRIGGER IF NOT EXISTS checkpoint AFTER UPDATE ON main.cairn_view BEGIN SELECT crash(); END",
        )
    }
}

#[tokio::test]
async fn a_crash_between_any_two_steps_loses_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (live, copies) = (folder.path().join("live"), folder.path().join("copies"));
    let store = Memory::new();
    let crashes = Crashes { live: live.clone(), copies, steps: Arc::default() };
    {
        let model = model(&live);
        let view = View::start(Arc::new(store.clone()), &model, crashes.clone()).unwrap();
        for batch in [["one", "two", "three"], ["four", "five", "six"]] {
            view.reached(say(&store, "words-a", &batch).await, soon()).await.unwrap();
            crashes.at("after the commit");
        }
        stop(view).await;
    }
    let steps = crashes.steps.lock().clone();
    assert_eq!(steps.iter().map(|(step, _)| *step).collect::<std::collections::BTreeSet<_>>().len(), 5, "{steps:?}");
    let position = say(&store, "words-a", &["seven"]).await;
    for (step, copy) in steps {
        restart(&store, &copy, position).await.unwrap_or_else(|difference| panic!("killed {step}: {difference}"));
    }
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_build_beside_the_file_loses_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (live, copies) = (folder.path().join("live"), folder.path().join("copies"));
    let store = Memory::new();
    let crashes = Crashes { live: live.clone(), copies, steps: Arc::default() };
    say(&store, "words-a", &["one", "two", "three", "four"]).await;
    {
        let model = model(&live);
        let view = View::start_with(Arc::new(store.clone()), &model, crashes.clone(), always()).unwrap();
        view.reached(Position(4), soon()).await.unwrap();
        crashes.at("after the first build");
        view.reached(say(&store, "words-a", &["five", "six"]).await, soon()).await.unwrap();
        let before = crashes.steps.lock().len();
        view.rebuild().await.unwrap();
        // The swap writes a checkpoint too.
        assert_eq!(crashes.steps.lock().len() - before, 5);
        crashes.at("after the rebuild");
        stop(view).await;
    }
    let steps = crashes.steps.lock().clone();
    let position = say(&store, "words-a", &["seven"]).await;
    for (at, (step, copy)) in steps.into_iter().enumerate() {
        restart(&store, &copy, position)
            .await
            .unwrap_or_else(|difference| panic!("killed {step} ({at}): {difference}"));
    }
}

/// Starts on what a crash left, and says in what the view is wrong.
async fn restart(store: &Memory, folder: &Path, position: Position) -> Result<(), String> {
    let model = model(folder);
    let view = words(store, &model);
    view.reached(position, soon()).await.map_err(|fault| fault.to_string())?;
    let (said, counted) = (said(&model).await.join(" "), counted(&model).await);
    if said != "one two three four five six seven" || counted != 7 {
        return Err(format!("{counted} words: {said}"));
    }
    let verdict = view.verify().await.map_err(|fault| fault.to_string())?;
    if verdict.is_equal() { Ok(()) } else { Err(format!("{verdict:?}")) }
}
