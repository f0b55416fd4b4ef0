//! What runs print, beside the log of events and closed with the run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_contract::cairn::experiments::events::v1::RunLogClosed;
use cairn_eventstore::{Direction, EventStore, Filter, NewEvent, Write};
use cairn_experiments::logs::{Config, Followed, Lines, Log, RunLogs, Start, Wanted};
use cairn_experiments::model::{RunName, RunState};
use cairn_kernel::{Expected, Position, StreamName, Time};
use cairn_service::Refusal;
use futures::{Stream, StreamExt};
use prost::Message;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{Service, call};

struct World {
    service: Service,
    logs: RunLogs,
    run: RunName,
    folder: TempDir,
}

impl World {
    async fn new(config: Config) -> Self {
        let service = Service::new();
        let experiment = service.experiment("e").await;
        let run = service.run(&experiment).await;
        let folder = tempfile::tempdir().unwrap();
        let logs = start(&service, folder.path(), config);
        Self { service, logs, run, folder }
    }

    async fn append(&self, first: Option<u64>, texts: &[&str]) -> Result<Log, Refusal> {
        self.logs.append(&self.run, Lines { first_number: first, ..lines(texts) }).await
    }

    async fn finish(&self) {
        let (app, call) = (&self.service.app, call());
        app.finish_run(&call, &self.run, Expected::Any, RunState::Finished, None).await.unwrap();
    }

    async fn texts(&self, start: Start) -> Vec<String> {
        let wanted = self.logs.beginning(&self.run, start, 100).await.unwrap();
        self.logs.lines(&self.run, wanted).await.unwrap().into_iter().map(|line| line.text).collect()
    }

    /// What the log of events tells of closed logs.
    async fn closed(&self) -> Vec<RunLogClosed> {
        let filter = Filter::categories(["experiments.run_log"]);
        let page = self.service.store.read_all(Position::START, Direction::Forwards, &filter, 100).await.unwrap();
        page.events.iter().map(|event| RunLogClosed::decode(&*event.payload).unwrap()).collect()
    }

    async fn follow(&self) -> impl Stream<Item = Result<Followed, Refusal>> + use<> {
        self.logs.follow(&self.run, Start::default()).await.unwrap()
    }
}

fn start(service: &Service, folder: &Path, config: Config) -> RunLogs {
    RunLogs::start(service.app.clone(), Arc::new(service.store.clone()), folder, config).unwrap()
}

fn lines(texts: &[&str]) -> Lines {
    let at = |at: usize| Time::from_micros(at as i64 * 1_000_000);
    let lines = texts.iter().enumerate().map(|(number, text)| (at(number), (*text).to_owned())).collect();
    Lines { lines, ..Lines::default() }
}

fn texts(followed: &[Followed]) -> Vec<&str> {
    followed.iter().flat_map(|followed| &followed.lines).map(|line| line.text.as_str()).collect()
}

/// All that a follower is told.
async fn told(following: impl Stream<Item = Result<Followed, Refusal>>) -> Vec<Followed> {
    following.map(Result::unwrap).collect().await
}

#[tokio::test]
async fn a_log_is_followed_while_its_run_is_at_work_and_is_complete_afterwards() {
    let world = World::new(Config::default()).await;
    world.append(None, &["one", "two"]).await.unwrap();
    let mut following = Box::pin(world.follow().await);
    let first = following.next().await.unwrap().unwrap();
    assert_eq!((texts(std::slice::from_ref(&first)), first.is_live, first.ended), (vec!["one", "two"], true, None));
    world.append(None, &["three"]).await.unwrap();
    let second = following.next().await.unwrap().unwrap();
    assert_eq!((second.lines[0].number, second.lines[0].text.as_str()), (3, "three"));
    world.append(None, &[""]).await.unwrap();
    world.finish().await;
    let rest = told(following).await;
    assert_eq!((texts(&rest), rest.last().unwrap().ended), (vec![""], Some(RunState::Finished)));

    let all = told(world.follow().await).await;
    assert_eq!(texts(&all), ["one", "two", "three", ""]);
    let log = world.logs.log(&world.run).await.unwrap();
    // printf 'one\ntwo\nthree\n\n' | sha256sum
    let sha256 = "3fa99bc7b3d121a063b13fe1cbc8d4930c41e1eb404c0ee572ea12b302a26f39";
    let expected = Log { line_count: 4, size_bytes: 15, sha256: Some(sha256.to_owned()) };
    assert_eq!(log, expected);
    let mut head = world.service.store.head();
    while world.closed().await.is_empty() {
        head.changed().await.unwrap();
    }
    let told = world.closed().await;
    assert_eq!((told.len(), told[0].sha256.as_str(), told[0].line_count), (1, sha256, 4));
    assert_eq!(world.append(None, &["late"]).await.unwrap_err().reason, "RUN_LOG_CLOSED");
    assert_eq!(world.append(Some(3), &["three", ""]).await.unwrap(), expected, "a repeat is no late line");
}

#[tokio::test]
async fn a_run_without_a_log_is_followed_to_its_end_too() {
    let world = World::new(Config::default()).await;
    let following = world.follow().await;
    world.finish().await;
    let told = told(following).await;
    assert_eq!((texts(&told), told.last().unwrap().ended), (vec![], Some(RunState::Finished)));
    assert_eq!(world.append(None, &["late"]).await.unwrap_err().reason, "RUN_LOG_CLOSED");
}

#[tokio::test]
async fn lines_sent_again_are_there_once_and_others_in_their_place_are_refused() {
    let world = World::new(Config::default()).await;
    for _ in 0..2 {
        assert_eq!(world.append(Some(1), &["a", "b"]).await.unwrap().line_count, 2);
    }
    assert_eq!(world.append(Some(2), &["b", "c"]).await.unwrap().line_count, 3, "what is new of it is added");
    let refused = world.append(Some(3), &["x", "y"]).await.unwrap_err();
    assert_eq!((refused.reason, refused.message.contains("line 3")), ("RUN_LOG_CONFLICT", true));
    let refused = world.append(Some(9), &["z"]).await.unwrap_err();
    assert_eq!((refused.reason, refused.message.contains("line 4")), ("RUN_LOG_GAP", true));
    let named = |texts: &[&str]| Lines { request_id: "r".into(), ..lines(texts) };
    for _ in 0..2 {
        assert_eq!(world.logs.append(&world.run, named(&["d"])).await.unwrap().line_count, 4);
    }
    assert_eq!(world.logs.append(&world.run, named(&["e"])).await.unwrap_err().reason, "REQUEST_ID_REUSED");
    assert_eq!(world.texts(Start::default()).await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_log_is_read_from_its_end_or_from_a_time_or_after_a_line() {
    let world = World::new(Config::default()).await;
    world.append(None, &["a", "b", "c", "d"]).await.unwrap();
    assert_eq!(world.texts(Start { tail: Some(2), ..Start::default() }).await, ["c", "d"]);
    assert_eq!(world.texts(Start { tail: Some(9), ..Start::default() }).await.len(), 4);
    assert_eq!(world.texts(Start { after: 3, ..Start::default() }).await, ["d"]);
    let since = Some(Time::from_micros(1_000_000));
    assert_eq!(world.texts(Start { since, ..Start::default() }).await, ["b", "c", "d"]);
    let wanted = Wanted { after: 1, since: Time::from_micros(0), limit: 2 };
    assert_eq!(world.logs.lines(&world.run, wanted).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_log_has_a_limit_and_keeps_nothing_of_what_is_beyond_it() {
    let world = World::new(Config { run_bytes_max: 1024, ..Config::default() }).await;
    let long = "x".repeat(600);
    world.append(None, &[&long]).await.unwrap();
    let refused = world.append(None, &["short", &long]).await.unwrap_err();
    assert_eq!((refused.reason, refused.message.contains("run_logs.run_bytes_max")), ("RUN_LOG_FULL", true));
    assert_eq!(world.append(None, &["short"]).await.unwrap().line_count, 2);
}

#[tokio::test]
async fn ends_that_came_while_nobody_listened_are_heard_at_the_next_start() {
    let World { service, logs, run, folder } = World::new(Config::default()).await;
    logs.append(&run, lines(&["kept"])).await.unwrap();
    drop(logs);
    service.app.finish_run(&call(), &run, Expected::Any, RunState::Failed, None).await.unwrap();
    let logs = start(&service, folder.path(), Config::default());
    let told = told(logs.follow(&run, Start::default()).await.unwrap()).await;
    assert_eq!((texts(&told), told.last().unwrap().ended), (vec!["kept"], Some(RunState::Failed)));
}

/// How a run ended for whoever follows its log; nobody waits for ever.
async fn end_of(logs: &RunLogs, run: &RunName) -> Option<RunState> {
    let following = logs.follow(run, Start::default()).await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(20), told(following)).await;
    told.expect("the end is heard").last().unwrap().ended
}

#[tokio::test]
async fn a_log_of_events_that_was_restored_from_before_a_run_keeps_no_other_run_from_ending() {
    let World { logs, run, folder, .. } = World::new(Config::default()).await;
    logs.append(&run, lines(&["of a run that is gone"])).await.unwrap();
    drop(logs);
    let service = Service::new();
    let logs = start(&service, folder.path(), Config::default());
    let experiment = service.experiment("e").await;
    let run = service.run(&experiment).await;
    logs.append(&run, lines(&["kept"])).await.unwrap();
    service.app.finish_run(&call(), &run, Expected::Any, RunState::Finished, None).await.unwrap();
    assert_eq!(end_of(&logs, &run).await, Some(RunState::Finished));
}

#[tokio::test]
async fn an_event_that_does_not_read_keeps_no_other_run_from_ending() {
    let world = World::new(Config::default()).await;
    world.append(None, &["kept"]).await.unwrap();
    let damaged = NewEvent {
        id: Uuid::new_v4(),
        kind: "cairn.experiments.events.v1.RunFinished".into(),
        payload: "no message".into(),
        metadata: Default::default(),
    };
    let stream = StreamName::of("experiments.run", "projects/p/runs/damaged");
    world.service.store.append(vec![Write::new(stream, Expected::Any, vec![damaged])]).await.unwrap();
    world.finish().await;
    assert_eq!(end_of(&world.logs, &world.run).await, Some(RunState::Finished));
}

#[tokio::test]
async fn a_run_that_goes_on_has_a_log_that_goes_on() {
    let world = World::new(Config::default()).await;
    world.append(None, &["a"]).await.unwrap();
    world.finish().await;
    told(world.follow().await).await;
    let (app, run) = (&world.service.app, &world.run);
    app.amend_run(&call(), run, Some(RunState::Running), None, None).await.unwrap();
    world.append(None, &["b"]).await.unwrap();
    world.finish().await;
    let all = told(world.follow().await).await;
    assert_eq!(texts(&all), ["a", "b"]);
    let mut head = world.service.store.head();
    while world.closed().await.last().unwrap().line_count < 2 {
        head.changed().await.unwrap();
    }
}

#[tokio::test]
async fn the_log_of_a_run_that_was_deleted_long_ago_is_removed() {
    let world = World::new(Config { deleted_days_max: 0, ..Config::default() }).await;
    world.append(None, &["a"]).await.unwrap();
    assert_eq!(world.logs.forget_deleted().await.unwrap(), 0, "its run is in use");
    world.service.app.delete_run(&call(), &world.run, Expected::Any).await.unwrap();
    assert_eq!(world.append(None, &["b"]).await.unwrap_err().reason, "RUN_DELETED");
    // Whoever hears of it first: the regular sweep does the same.
    while world.logs.log(&world.run).await.unwrap() != Log::default() {
        world.logs.forget_deleted().await.unwrap();
    }
}

#[tokio::test]
async fn the_log_of_a_run_that_was_restored_is_kept() {
    let world = World::new(Config::default()).await;
    let (app, run) = (&world.service.app, &world.run);
    world.append(None, &["a"]).await.unwrap();
    app.delete_run(&call(), run, Expected::Any).await.unwrap();
    assert_eq!(world.logs.forget_deleted().await.unwrap(), 0, "it has not been deleted for long");
    app.restore_run(&call(), run, Expected::Any).await.unwrap();
    world.append(None, &["b"]).await.unwrap();
    assert_eq!(world.texts(Start::default()).await, ["a", "b"]);
}
