use cairn_eventstore::Stored;
use cairn_testkit::given;
use proptest::prelude::*;

use super::*;
use crate::model::{EntryKind, Limit, Limits};

const LIMITS: Limits = Limits { tag_keys_per_run_max: 2, metric_names_per_run_max: 2, params_per_run_max: 2 };

fn name() -> RunName {
    "projects/p/experiments/7/runs/r".parse().unwrap()
}

fn event(change: Change) -> Event {
    Event { run: name(), change }
}

fn ask(action: Action) -> Command {
    Command { run: name(), action }
}

fn created() -> Event {
    event(Change::Created {
        display_name: "first".into(),
        state: RunState::Running,
        user: "u".into(),
        start_time: Time::from_millis(1),
        parent: None,
        experiment_revision: 1,
        artifact_location: String::new(),
    })
}

fn new() -> NewRun {
    NewRun {
        display_name: "first".into(),
        state: RunState::Running,
        user: "u".into(),
        start_time: Time::from_millis(1),
        parent: None,
        experiment_revision: 1,
        artifact_location: String::new(),
        params: BTreeMap::new(),
        tags: TagChange::default(),
        limits: LIMITS,
    }
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn points(keys: &[&str]) -> Arc<Points> {
    let mut points = Points::builder();
    keys.iter().for_each(|key| points.push(key, None, 0, 0, f64::NAN));
    Arc::new(points.finish())
}

fn log(batch: Batch) -> Command {
    ask(Action::Log(Arc::new(Batch { limits: LIMITS, ..batch })))
}

fn params(params: &[(&str, &str)]) -> Command {
    log(Batch { params: pairs(params), ..Batch::default() })
}

fn tags(set: &[(&str, &str)], delete: &[&str], beyond: &[&str]) -> TagChange {
    TagChange {
        set: pairs(set),
        delete: delete.iter().map(|key| (*key).to_owned()).collect(),
        beyond_project: beyond.iter().map(|key| (*key).to_owned()).collect(),
        limits: LIMITS,
    }
}

fn tag(set: &[(&str, &str)], delete: &[&str]) -> Command {
    ask(Action::Tag(Arc::new(tags(set, delete, &[]))))
}

fn dropped(kind: EntryKind, limit: Limit, key: &str, count: u64) -> Dropped {
    Dropped { kind, key: key.into(), limit, count }
}

#[test]
fn a_run_begins_with_what_it_is_given_and_its_name_is_a_tag() {
    let begin = NewRun {
        display_name: String::new(),
        tags: tags(&[("mlflow.runName", "first"), ("mlflow.parentRunId", "top"), ("k", "v")], &[], &[]),
        params: pairs(&[("depth", "5")]),
        ..new()
    };
    let mut begun = created();
    if let Change::Created { parent, .. } = &mut begun.change {
        *parent = Some("top".into());
    }
    let stream = given::<Run>([]).when(ask(Action::Create(Arc::new(begin)))).then([
        begun,
        event(Change::ParamsLogged(pairs(&[("depth", "5")]))),
        event(Change::TagsSet(pairs(&[("k", "v")]))),
    ]);
    let expected = pairs(&[("k", "v"), ("mlflow.parentRunId", "top"), ("mlflow.runName", "first")]);
    assert_eq!(*stream.state().tags, expected);
    let again = ask(Action::Create(Arc::new(new())));
    given::<Run>([created()]).when(again).rejected(Rejection::Exists(name()));
}

#[test]
fn a_run_is_not_nested_in_itself() {
    let inner = NewRun { parent: Some("r".into()), ..new() };
    let rejection = Rejection::ParentInvalid("r".into());
    given::<Run>([]).when(ask(Action::Create(Arc::new(inner)))).rejected(rejection);
}

#[test]
fn a_run_asked_for_under_another_experiment_is_not_there() {
    let elsewhere = "projects/p/experiments/8/runs/r".parse().unwrap();
    let command = Command { run: elsewhere, action: Action::Delete };
    given::<Run>([created()]).when(command).rejected(Rejection::NotFound);
    given::<Run>([]).when(ask(Action::Delete)).rejected(Rejection::NotFound);
}

#[test]
fn a_param_never_changes_and_a_batch_fails_whole_s1_27() {
    given::<Run>([created()])
        .when(params(&[("depth", "5")]))
        .then([event(Change::ParamsLogged(pairs(&[("depth", "5")])))])
        .when(params(&[("depth", "5")]))
        .nothing()
        .when(params(&[("another", "1"), ("depth", "6")]))
        .rejected(Rejection::ParamImmutable { key: "depth".into(), logged: "5".into(), given: "6".into() });
}

#[test]
fn a_run_ends_once_unless_it_is_amended() {
    let (finished, failed) = (RunState::Finished, RunState::Failed);
    let (early, late) = (Time::from_millis(5), Time::from_millis(6));
    let ended = event(Change::Finished { state: finished, end_time: Some(early) });
    given::<Run>([created()])
        .when(ask(Action::Finish { state: finished, end_time: early }))
        .then([ended.clone()])
        .when(ask(Action::Finish { state: finished, end_time: late }))
        .nothing()
        .when(ask(Action::Finish { state: failed, end_time: late }))
        .rejected(Rejection::AlreadyTerminal { run: name(), state: finished, end_time: Some(early) });
    let amend = |state, end_time| ask(Action::Amend { state, end_time, display_name: Some(String::new()) });
    given::<Run>([created(), ended])
        .when(amend(Some(failed), Some(late)))
        .then([event(Change::Finished { state: failed, end_time: Some(late) })])
        .when(amend(Some(RunState::Running), None))
        .then([event(Change::Resumed { state: RunState::Running, end_time: Some(late) })])
        .when(amend(None, None))
        .nothing();
}

#[test]
fn setting_the_name_tag_renames_the_run() {
    given::<Run>([created()])
        .when(tag(&[("mlflow.runName", "second"), ("k", "v")], &["absent"]))
        .then([
            event(Change::Renamed { from: "first".into(), to: "second".into() }),
            event(Change::TagsSet(pairs(&[("k", "v")]))),
        ])
        .when(ask(Action::Rename { display_name: "second".into() }))
        .nothing()
        .when(tag(&[], &["k"]))
        .then([event(Change::TagsDeleted(vec!["k".into()]))]);
}

#[test]
fn tags_beyond_the_limit_are_dropped_and_room_returns_when_one_is_deleted_s1_46() {
    let drop = event(Change::EntriesDropped(vec![dropped(EntryKind::Tag, Limit::Run, "c", 1)]));
    given::<Run>([created()])
        .when(tag(&[("a", "1"), ("b", "1"), ("c", "1"), ("mlflow.user", "u")], &[]))
        .then([event(Change::TagsSet(pairs(&[("a", "1"), ("b", "1"), ("mlflow.user", "u")]))), drop])
        .when(tag(&[("c", "1")], &["a"]))
        .then([event(Change::TagsSet(pairs(&[("c", "1")]))), event(Change::TagsDeleted(vec!["a".into()]))]);
}

#[test]
fn a_tag_the_project_has_no_room_for_is_dropped_s1_47() {
    let command = ask(Action::Tag(Arc::new(tags(&[("a", "1")], &[], &["a"]))));
    let drop = Change::EntriesDropped(vec![dropped(EntryKind::Tag, Limit::Project, "a", 1)]);
    given::<Run>([created()]).when(command).then([event(drop)]);
}

#[test]
fn metrics_beyond_the_limit_are_dropped_and_the_others_logged_s1_46() {
    let batch = Batch { metrics: points(&["a", "b", "c", "a", "c"]), ..Batch::default() };
    given::<Run>([created()]).when(log(batch)).then([
        event(Change::MetricsLogged(points(&["a", "b", "a"]))),
        event(Change::EntriesDropped(vec![dropped(EntryKind::Metric, Limit::Run, "c", 2)])),
    ]);
}

#[test]
fn a_batch_with_an_id_is_remembered_with_its_outcome() {
    let id = BatchId { id: "b".into(), sha256: "aa".into() };
    let batch = Batch {
        id: Some(id.clone()),
        metrics: points(&["a"]),
        params: pairs(&[("p", "1"), ("q", "1"), ("r", "1")]),
        ..Batch::default()
    };
    let drops = vec![dropped(EntryKind::Param, Limit::Run, "r", 1)];
    given::<Run>([created()]).when(log(batch)).then([
        event(Change::ParamsLogged(pairs(&[("p", "1"), ("q", "1")]))),
        event(Change::MetricsLogged(points(&["a"]))),
        event(Change::EntriesDropped(drops.clone())),
        event(Change::BatchLogged { id, metric_count: 1, param_count: 2, tag_count: 0, dropped: drops }),
    ]);
}

#[test]
fn a_deleted_run_takes_nothing_more_until_it_is_restored() {
    given::<Run>([created()])
        .when(ask(Action::Delete))
        .then([event(Change::Deleted)])
        .when(ask(Action::Delete))
        .nothing()
        .when(ask(Action::Restore))
        .then([event(Change::Restored)]);
    given::<Run>([created(), event(Change::Deleted)]).when(params(&[("a", "1")])).rejected(Rejection::Deleted(name()));
}

#[test]
fn what_was_accepted_before_a_run_was_deleted_is_logged_all_the_same() {
    let accepted = || log(Batch { metrics: points(&["loss"]), was_accepted: true, ..Batch::default() });
    given::<Run>([created(), event(Change::Deleted)])
        .when(accepted())
        .then([event(Change::MetricsLogged(points(&["loss"])))]);
    given::<Run>([]).when(accepted()).rejected(Rejection::NotFound);
}

fn command() -> impl Strategy<Value = Command> {
    let word = || prop::sample::select(vec!["a", "b", "c", "mlflow.runName", "mlflow.parentRunId"]);
    let state = prop::sample::select(vec![RunState::Running, RunState::Finished, RunState::Killed]);
    prop_oneof![
        1 => Just(ask(Action::Create(Arc::new(new())))),
        1 => word().prop_map(|text| ask(Action::Rename { display_name: text.into() })),
        2 => (state.clone(), 0_i64..3).prop_map(|(state, ms)| {
            ask(Action::Finish { state, end_time: Time::from_millis(ms) })
        }),
        1 => (state, prop::option::of(0_i64..3)).prop_map(|(state, ms)| {
            ask(Action::Amend { state: Some(state), end_time: ms.map(Time::from_millis), display_name: None })
        }),
        3 => (word(), word()).prop_map(|(key, value)| tag(&[(key, value)], &[value])),
        3 => (word(), word(), word()).prop_map(|(key, value, metric)| log(Batch {
            metrics: points(&[metric]),
            params: pairs(&[(key, value)]),
            tags: tags(&[(value, key)], &[], &[]),
            ..Batch::default()
        })),
        1 => word().prop_map(|model| ask(Action::LogInputs {
            datasets: vec![Dataset { display_name: model.into(), digest: "d".into(), ..Dataset::default() }],
            models: vec![model.into()],
        })),
        1 => word().prop_map(|model| ask(Action::LogOutputs { models: vec![(model.into(), 1)] })),
        1 => Just(ask(Action::Delete)),
        1 => Just(ask(Action::Restore)),
    ]
}

proptest! {
    #[test]
    fn any_history_is_legal_and_reads_back_the_same(commands in prop::collection::vec(command(), 0..60)) {
        let (mut state, mut history) = (Run::default(), vec![]);
        for command in commands {
            let before = state.clone();
            for event in state.decide(command).unwrap_or_default() {
                state.evolve(&event);
                history.push(event);
            }
            let plain = state.tags.keys().filter(|key| !key.starts_with("mlflow.")).count();
            prop_assert!(plain <= LIMITS.tag_keys_per_run_max);
            prop_assert!(state.metrics.len() <= LIMITS.metric_names_per_run_max);
            prop_assert!(state.params.len() <= LIMITS.params_per_run_max);
            prop_assert!(before.params.iter().all(|(key, value)| state.params.get(key) == Some(value)));
            prop_assert_eq!(state.tags.get("mlflow.runName").is_some_and(|tag| *tag != state.display_name), false);
        }
        prop_assert_eq!(&Run::replay(&history), &state);
        let stored = history.iter().map(|event| {
            let (kind, bytes) = Run::encode(event);
            Run::decode(kind, &bytes).unwrap()
        });
        prop_assert_eq!(stored.collect::<Vec<_>>(), history);
    }

    #[test]
    fn packed_points_of_many_names_read_back_bit_by_bit_s3_11(
        rows in prop::collection::vec((0_usize..4, any::<i64>(), any::<i64>(), any::<u64>(), 0_usize..3), 1..40),
    ) {
        let mut points = Points::builder();
        for (key, step, time_ms, bits, subject) in rows {
            let subject = (subject > 0).then(|| crate::model::Subject { model: subject.to_string(), ..Default::default() });
            points.push(["a", "b", "c", "d"][key], subject, step, time_ms, f64::from_bits(bits));
        }
        let logged = event(Change::MetricsLogged(Arc::new(points.finish())));
        let (kind, bytes) = Run::encode(&logged);
        prop_assert_eq!(Run::decode(kind, &bytes).unwrap(), logged);
    }
}

#[test]
fn columns_that_do_not_fit_together_are_damage() {
    use cairn_contract::cairn::experiments::events::v1::MetricsLogged;
    use prost::Message;

    let whole = MetricsLogged {
        run: name().to_string(),
        keys: vec!["a".into(), "b".into()],
        key_indexes: vec![0, 1],
        steps: vec![1, 2],
        time_deltas_ms: vec![1, 2],
        values: vec![1.0, 2.0],
        ..MetricsLogged::default()
    };
    let kind = "cairn.experiments.events.v1.MetricsLogged";
    assert!(Run::decode(kind, &whole.encode_to_vec()).is_ok());
    for damaged in [
        MetricsLogged { key_indexes: vec![0, 2], ..whole.clone() },
        MetricsLogged { steps: vec![1], ..whole.clone() },
        MetricsLogged { keys: vec![], key_indexes: vec![], ..whole.clone() },
        MetricsLogged { subject_indexes: vec![0, 1], ..whole.clone() },
    ] {
        assert!(Run::decode(kind, &damaged.encode_to_vec()).is_err(), "{damaged:?} was read");
    }
}
