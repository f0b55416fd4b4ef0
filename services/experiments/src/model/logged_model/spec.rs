use cairn_eventstore::Stored;
use cairn_testkit::given;
use proptest::prelude::*;

use super::*;

fn name() -> LoggedModelName {
    "projects/p/experiments/7/loggedModels/m".parse().unwrap()
}

fn event(change: Change) -> Event {
    Event { model: name(), change }
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn created() -> Event {
    event(Change::Created {
        display_name: "ranker".into(),
        source_run: "r".into(),
        model_type: String::new(),
        artifact_location: String::new(),
        params: pairs(&[("depth", "5")]),
        tags: BTreeMap::new(),
    })
}

fn create() -> Command {
    Command::Create(Arc::new(NewLoggedModel {
        name: name(),
        display_name: "ranker".into(),
        source_run: "r".into(),
        model_type: String::new(),
        artifact_location: String::new(),
        params: pairs(&[("depth", "5")]),
        tags: BTreeMap::new(),
    }))
}

#[test]
fn a_model_is_announced_and_finalized_once() {
    given::<LoggedModel>([])
        .when(create())
        .then([created()])
        .when(Command::Ready)
        .then([event(Change::Readied)])
        .when(Command::Ready)
        .nothing()
        .when(Command::Fail)
        .rejected(Rejection::Finalized { model: name(), state: LoggedModelState::Ready });
    given::<LoggedModel>([created()]).when(create()).rejected(Rejection::Exists(name()));
}

#[test]
fn a_models_param_never_changes() {
    given::<LoggedModel>([created()])
        .when(Command::LogParams(pairs(&[("depth", "5"), ("trees", "9")])))
        .then([event(Change::ParamsLogged(pairs(&[("trees", "9")])))])
        .when(Command::LogParams(pairs(&[("depth", "6")])))
        .rejected(Rejection::ParamImmutable { key: "depth".into(), logged: "5".into(), given: "6".into() });
}

#[test]
fn a_deleted_model_looks_as_if_it_never_was() {
    given::<LoggedModel>([created()])
        .when(Command::Delete)
        .then([event(Change::Deleted)])
        .when(Command::Delete)
        .nothing();
    given::<LoggedModel>([created(), event(Change::Deleted)]).when(Command::Ready).rejected(Rejection::NotFound);
}

#[test]
fn a_model_has_room_for_so_many_tags() {
    let many = (0..=PAIRS_MAX + RESERVED_TAG_KEYS_PER_RUN_MAX).map(|n| (format!("k{n}"), String::new())).collect();
    let max = PAIRS_MAX + RESERVED_TAG_KEYS_PER_RUN_MAX;
    given::<LoggedModel>([created()])
        .when(Command::Tag { set: many, delete: vec![] })
        .rejected(Rejection::Full { what: "tags", max });
}

fn command() -> impl Strategy<Value = Command> {
    let word = || prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        Just(create()),
        Just(Command::Ready),
        Just(Command::Fail),
        (word(), word(), word())
            .prop_map(|(key, value, delete)| Command::Tag { set: pairs(&[(key, value)]), delete: vec![delete.into()] }),
        (word(), word()).prop_map(|(key, value)| Command::LogParams(pairs(&[(key, value)]))),
        Just(Command::Delete),
    ]
}

proptest! {
    #[test]
    fn any_history_is_legal_and_reads_back_the_same(commands in prop::collection::vec(command(), 0..40)) {
        let (mut state, mut history) = (LoggedModel::default(), vec![]);
        for command in commands {
            let before = state.clone();
            for event in state.decide(command).unwrap_or_default() {
                state.evolve(&event);
                history.push(event);
            }
            prop_assert!(before.params.iter().all(|(key, value)| state.params.get(key) == Some(value)));
            prop_assert!(before.state == LoggedModelState::Pending || before.state == state.state);
        }
        prop_assert_eq!(&LoggedModel::replay(&history), &state);
        let stored = history.iter().map(|event| {
            let (kind, bytes) = LoggedModel::encode(event);
            LoggedModel::decode(kind, &bytes).unwrap()
        });
        prop_assert_eq!(stored.collect::<Vec<_>>(), history);
    }
}
