use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::{EventStore, Filter, Memory, Recorded};
use cairn_kernel::Position;
use cairn_projection::rusqlite::{Connection, Transaction};
use cairn_projection::{Limits, Projection, ProjectionFault, QueryFault, ReadModel, View, WaitFault};
use tokio::time::Instant;

use crate::support::{Kinds, Words, counted, model, said, say, soon, stop, words};

#[tokio::test]
async fn a_reader_that_waits_for_its_position_sees_its_write() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    for round in 0..50 {
        let position = say(&store, "words-a", &["one", "two"]).await;
        view.reached(position, soon()).await.unwrap();
        assert_eq!(counted(&model).await, 2 * (round + 1));
    }
    assert_eq!(view.lag(), 0);
}

#[tokio::test]
async fn events_come_together_until_a_reader_waits_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let limits = Limits { linger: Duration::from_secs(3600), ..Limits::default() };
    let view = View::start_with(Arc::new(store.clone()), &model, Words, limits).unwrap();
    let first = say(&store, "words-a", &["one"]).await;
    view.reached(first, soon()).await.unwrap();

    say(&store, "words-a", &["two"]).await;
    let last = say(&store, "words-a", &["three"]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(view.position(), first, "nobody waits");
    view.reached(last, soon()).await.unwrap();
    assert_eq!(said(&model).await, ["one", "two", "three"]);

    say(&store, "words-a", &["four"]).await;
    stop(view).await;
    assert_eq!(said(&model).await.len(), 3, "and is folded in after the next start");
    let view = words(&store, &model);
    view.reached(Position(last.0 + 1), soon()).await.unwrap();
    assert_eq!(said(&model).await.len(), 4);
}

#[tokio::test]
async fn waiting_ends_at_the_deadline_and_says_how_far_the_view_is() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    let position = say(&store, "words-a", &["one"]).await;
    view.reached(position, soon()).await.unwrap();
    let behind = view.reached(Position(7), Instant::now() + Duration::from_millis(5)).await;
    assert_eq!(behind, Err(WaitFault::Behind { view: Words::NAME, at: position, wanted: Position(7) }));
}

#[tokio::test]
async fn a_restarted_view_goes_on_at_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let store = Memory::new();
    {
        let model = model(folder.path());
        let view = words(&store, &model);
        view.reached(say(&store, "words-a", &["one", "two"]).await, soon()).await.unwrap();
        stop(view).await;
    }
    let position = say(&store, "words-b", &["three"]).await;
    let model = model(folder.path());
    let view = words(&store, &model);
    view.reached(position, soon()).await.unwrap();
    assert_eq!(said(&model).await, ["one", "two", "three"]);
    assert_eq!(counted(&model).await, 3, "nothing was folded in twice");
}

#[tokio::test]
async fn events_nobody_wants_move_the_view_forward() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    let position = say(&store, "noise-a", &["x"; 700]).await;
    view.reached(position, soon()).await.unwrap();
    assert_eq!(counted(&model).await, 0);
    stop(view).await;

    let view = words(&store, &model);
    assert_eq!(view.position(), position, "and the checkpoint with it");
}

#[tokio::test]
async fn a_stopped_view_tells_those_who_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    let waiting = tokio::spawn({
        let view = view.clone();
        async move { view.reached(Position(1), soon()).await }
    });
    stop(view.clone()).await;
    assert_eq!(waiting.await.unwrap(), Err(WaitFault::Stopped { view: Words::NAME }));
    assert!(view.state().is_stopped);
}

#[tokio::test]
async fn lag_is_what_the_log_is_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    view.reached(say(&store, "words-a", &["one"]).await, soon()).await.unwrap();
    stop(view.clone()).await;
    say(&store, "words-a", &["two", "three"]).await;
    assert_eq!(view.lag(), 2);
}

#[tokio::test]
async fn a_view_cannot_run_twice_on_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let _view = words(&store, &model);
    let second = View::start(Arc::new(store.clone()), &model, Words);
    assert!(matches!(second.map(|_| ()), Err(QueryFault::Conflict(_))));
}

/// The same tables under a new name.
struct WordsAnew;

impl Projection for WordsAnew {
    const NAME: &'static str = "test.words.v2";
    const SCHEMA: &'static str = "CREATE TABLE word (position INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;";

    fn filter(&self) -> Filter {
        Words.filter()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        for event in events {
            let position = event.position.0.cast_signed();
            tx.execute("INSERT INTO word VALUES (?1, 'again')", [position])?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_new_name_reads_the_log_from_its_start_and_drops_the_old_tables() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    let position = say(&store, "words-a", &["one", "two"]).await;
    view.reached(position, soon()).await.unwrap();
    let taken = View::start(Arc::new(store.clone()), &model, WordsAnew);
    assert!(matches!(taken.map(|_| ()), Err(QueryFault::Conflict(_))), "while the old one runs it keeps its tables");
    stop(view).await;

    let view = View::start(Arc::new(store.clone()), &model, WordsAnew).unwrap();
    view.reached(position, soon()).await.unwrap();
    assert_eq!(said(&model).await, ["again", "again"]);
    let tallies = model.query(|connection| connection.prepare("SELECT * FROM tally").map(|_| ())).await;
    assert!(tallies.is_err(), "the old view's other table is gone too");
}

#[tokio::test]
async fn a_view_ahead_of_the_log_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let lost = Memory::new();
    let view = words(&lost, &model);
    view.reached(say(&lost, "words-a", &["one", "two", "three"]).await, soon()).await.unwrap();
    stop(view).await;

    let restored = Memory::new();
    let position = say(&restored, "words-a", &["one"]).await;
    let view = words(&restored, &model);
    // Rows are there a moment before the view says so.
    wait_until(&view, || async { said(&model).await == ["one"] && view.position() == position }).await;
    assert_eq!(counted(&model).await, 1);
}

#[tokio::test]
async fn a_log_that_grew_past_the_view_with_another_history_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let lost = Memory::new();
    let view = words(&lost, &model);
    view.reached(say(&lost, "words-a", &["one", "two"]).await, soon()).await.unwrap();
    stop(view).await;

    let restored = Memory::new();
    say(&restored, "words-a", &["one", "zwei", "drei"]).await;
    let view = words(&restored, &model);
    wait_until(&view, || async { said(&model).await == ["one", "zwei", "drei"] }).await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("views.sqlite"), [b'x'; 8192]).unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    view.reached(say(&store, "words-a", &["one"]).await, soon()).await.unwrap();
    assert_eq!(said(&model).await, ["one"]);
}

/// Waits until something holds, looking again whenever the view has moved.
async fn wait_until<F: Future<Output = bool>>(view: &View, holds: impl Fn() -> F) {
    let deadline = soon();
    while !holds().await {
        assert!(Instant::now() < deadline, "it did not happen; the view is at {}", view.position());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn views_of_one_file_follow_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let first = words(&store, &model);
    let second = View::start(Arc::new(store.clone()), &model, Kinds).unwrap();
    for _ in 0..20 {
        say(&store, "words-a", &["one", "two"]).await;
    }
    let position = *store.head().borrow();
    first.reached(position, soon()).await.unwrap();
    second.reached(position, soon()).await.unwrap();
    let kinds = model.query(|c| c.query_row("SELECT events FROM kind", [], |row| row.get::<_, i64>(0))).await;
    assert_eq!((counted(&model).await, kinds.unwrap()), (40, 40));
}

#[tokio::test]
async fn a_query_nobody_waits_for_gives_its_reader_back() {
    let folder = tempfile::tempdir().unwrap();
    let model = ReadModel::open(&folder.path().join("views.sqlite"), 1).unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let (started, has_started) = tokio::sync::oneshot::channel();
    let abandoned = tokio::spawn({
        let model = model.clone();
        async move {
            let query = move |c: &Connection| {
                let _ = started.send(());
                c.query_row(endless, [], |row| row.get::<_, i64>(0))
            };
            model.query(query).await
        }
    });
    has_started.await.unwrap();
    abandoned.abort();
    let next =
        tokio::time::timeout_at(soon(), model.query(|c| c.query_row("SELECT 1", [], |row| row.get::<_, i64>(0))));
    assert_eq!(next.await.expect("the only reader is free again").unwrap(), 1);
}

#[tokio::test]
async fn one_query_reads_one_state_and_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = (Memory::new(), model(folder.path()));
    let view = words(&store, &model);
    view.reached(say(&store, "words-a", &["one"]).await, soon()).await.unwrap();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let reading = tokio::spawn({
        let model = model.clone();
        async move {
            let query = move |c: &Connection| {
                let count = |c: &Connection| c.query_row("SELECT count(*) FROM word", [], |row| row.get::<_, i64>(0));
                let before = count(c)?;
                begun.send(()).unwrap();
                may_go_on.recv().unwrap();
                Ok((before, count(c)?))
            };
            model.query(query).await
        }
    });
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
    view.reached(say(&store, "words-a", &["two"]).await, soon()).await.unwrap();
    go_on.send(()).unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), (1, 1));
    assert!(model.query(|c| c.execute("DELETE FROM word", [])).await.is_err());
}
