use std::collections::BTreeMap;

use cairn_testkit::given;
use proptest::prelude::*;

use super::*;

fn name() -> ExperimentName {
    "projects/p/experiments/7".parse().unwrap()
}

fn event(change: Change) -> Event {
    Event { experiment: name(), change }
}

fn created() -> Event {
    event(Change::Created { display_name: "a".into(), artifact_location: String::new(), tags: BTreeMap::new() })
}

fn create() -> Command {
    Command::Create { name: name(), display_name: "a".into(), artifact_location: String::new(), tags: BTreeMap::new() }
}

fn tag(set: &[(&str, &str)], delete: &[&str]) -> Command {
    let set = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Command::Tag { set, delete: delete.iter().map(|key| (*key).to_owned()).collect() }
}

#[test]
fn an_experiment_is_created_once() {
    given::<Experiment>([]).when(create()).then([created()]);
    given::<Experiment>([created()]).when(create()).rejected(Rejection::Exists(name()));
}

#[test]
fn what_does_not_exist_cannot_be_changed() {
    for command in [Command::Delete, Command::Restore, tag(&[], &[]), Command::Rename { display_name: "b".into() }] {
        given::<Experiment>([]).when(command).rejected(Rejection::NotFound);
    }
}

#[test]
fn each_edit_has_the_next_number_and_doing_it_again_changes_nothing() {
    let rename = || Command::Rename { display_name: "b".into() };
    let tags = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    given::<Experiment>([created()])
        .when(rename())
        .then([event(Change::Renamed { from: "a".into(), to: "b".into(), revision: 2 })])
        .when(rename())
        .nothing()
        .when(tag(&[("k", "v")], &["absent"]))
        .then([event(Change::TagsSet { tags, revision: 3 })])
        .when(tag(&[("k", "v")], &[]))
        .nothing()
        .when(tag(&[], &["k"]))
        .then([event(Change::TagsDeleted { keys: vec!["k".into()], revision: 4 })]);
}

#[test]
fn a_deleted_experiment_is_not_changed_until_it_is_restored() {
    given::<Experiment>([created()])
        .when(Command::Delete)
        .then([event(Change::Deleted)])
        .when(Command::Delete)
        .nothing()
        .when(Command::Restore)
        .then([event(Change::Restored)])
        .when(Command::Restore)
        .nothing();
    let rename = Command::Rename { display_name: "b".into() };
    given::<Experiment>([created(), event(Change::Deleted)]).when(rename).rejected(Rejection::Deleted(name()));
}

#[test]
fn an_experiment_says_that_it_was_imported_without_another_revision() {
    let origin = Origin { source: "http://mlflow".into(), create_time: cairn_kernel::Time::from_millis(5) };
    given::<Experiment>([created()])
        .when(Command::Import(origin.clone()))
        .then([event(Change::Imported(origin.clone()))])
        .when(Command::Rename { display_name: "b".into() })
        .then([event(Change::Renamed { from: "a".into(), to: "b".into(), revision: 2 })]);
    given::<Experiment>([]).when(Command::Import(origin)).rejected(Rejection::NotFound);
}

fn command() -> impl Strategy<Value = Command> {
    let text = prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        Just(create()),
        text.clone().prop_map(|text| Command::Rename { display_name: text.into() }),
        (text.clone(), text.clone(), text).prop_map(|(key, value, delete)| tag(&[(key, value)], &[delete])),
        Just(Command::Delete),
        Just(Command::Restore),
    ]
}

proptest! {
    #[test]
    fn any_history_is_legal_and_reads_back_the_same(commands in prop::collection::vec(command(), 0..40)) {
        let (mut state, mut history) = (Experiment::default(), vec![]);
        for command in commands {
            let edits = state.revision;
            for event in state.decide(command).unwrap_or_default() {
                state.evolve(&event);
                history.push(event);
            }
            prop_assert!(state.revision >= edits, "edits are counted upwards");
            prop_assert_eq!(state.revision == 0, history.is_empty());
        }
        prop_assert_eq!(&Experiment::replay(&history), &state);
        let stored = history.iter().map(|event| {
            let (kind, bytes) = <Experiment as cairn_eventstore::Stored>::encode(event);
            <Experiment as cairn_eventstore::Stored>::decode(kind, &bytes).unwrap()
        });
        prop_assert_eq!(stored.collect::<Vec<_>>(), history);
    }
}
