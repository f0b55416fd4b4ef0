use cairn_testkit::given;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn name() -> FunctionName {
    "projects/p/functions/train".parse().unwrap()
}

fn event(change: Change) -> Event {
    Event { function: name(), change }
}

fn document(spec: Value) -> Document {
    let Value::Object(spec) = spec else { panic!("a spec is an object") };
    Document { description: "d".into(), labels: [("team".to_owned(), "risk".to_owned())].into(), spec }
}

fn created(revision: u32) -> Event {
    event(Change::Created { revision, document: Arc::new(document(json!({"image": "a", "env": {"A": "1"}}))) })
}

fn revised(revision: u32, document: Document) -> Event {
    event(Change::Revised { revision, document: Arc::new(document) })
}

fn package(sha256: &str) -> Arc<Package> {
    Arc::new(Package { sha256: sha256.into(), size: 3, ..Package::default() })
}

fn publish(version: &str, sha256: &str) -> Command {
    Command::Publish { version: version.parse().unwrap(), package: package(sha256), versions_max: 2 }
}

fn published(version: &str, sha256: &str) -> Event {
    event(Change::Published { version: version.parse().unwrap(), package: package(sha256) })
}

#[test]
fn a_function_is_revised_by_what_a_patch_names_and_by_nothing_else() {
    let after = document(json!({"image": "b", "env": {"B": "2"}}));
    given::<Function>([created(1)])
        .when(Command::Patch(json!({"spec": {"image": "b", "env": {"A": null, "B": "2"}}})))
        .then([revised(2, after.clone())])
        .when(Command::Patch(json!({"spec": {"image": "b"}, "description": "d"})))
        .nothing();
    given::<Function>([created(1), revised(2, after)])
        .when(Command::Patch(json!({"spec": null, "labels": null, "description": null})))
        .then([revised(3, Document::default())]);
}

#[test]
fn a_patch_that_is_about_something_else_or_leaves_nonsense_is_refused_whole() {
    for (patch, part) in [
        (json!([]), "no object"),
        (json!({"revision": 7}), "revision"),
        (json!({"spec": "text"}), "spec"),
        (json!({"labels": {"a": 1}}), "labels"),
        (json!({"labels": {"a b": "c"}}), "a b"),
        (json!({"description": {}}), "description"),
        (json!({"spec": {"large": "x".repeat(DOCUMENT_BYTES_MAX)}}), "bytes"),
    ] {
        match Function::replay(&[created(1)]).decide(Command::Patch(patch)) {
            Err(Rejection::Patch(problem)) => assert!(problem.contains(part), "{problem}"),
            other => panic!("{part}: {other:?}"),
        }
    }
}

#[test]
fn what_is_published_never_changes_not_even_when_its_function_comes_back() {
    let exists = || Rejection::VersionExists { function: name(), version: "1.0".parse().unwrap() };
    given::<Function>([created(1)])
        .when(publish("1.0", "aa"))
        .then([published("1.0", "aa")])
        .when(publish("1.0", "aa"))
        .nothing();
    given::<Function>([created(1), published("1.0", "aa")]).when(publish("1.0", "bb")).rejected(exists());
    let again = [created(1), published("1.0", "aa"), event(Change::Deleted { revision: 2 }), created(3)];
    given::<Function>(again.clone()).when(publish("1.0", "aa")).rejected(exists());
    given::<Function>(again).when(publish("1.1", "aa")).then([published("1.1", "aa")]);
    given::<Function>([created(1), published("1.0", "aa"), published("1.1", "aa")])
        .when(publish("1.2", "aa"))
        .rejected(Rejection::Full { function: name(), limit: 2 });
}

#[test]
fn a_deleted_function_is_gone_and_its_name_counts_on() {
    let deleted = event(Change::Deleted { revision: 2 });
    given::<Function>([created(1)]).when(Command::Delete).then([deleted.clone()]);
    for command in [Command::Delete, Command::Patch(json!({})), publish("1", "aa")] {
        given::<Function>([created(1), deleted.clone()]).when(command).rejected(Rejection::NotFound);
    }
    let create = Command::Create { name: name(), document: document(json!({"image": "a", "env": {"A": "1"}})) };
    given::<Function>([created(1), deleted]).when(create.clone()).then([created(3)]);
    given::<Function>([created(1)]).when(create).rejected(Rejection::Exists(name()));
}

fn commands() -> impl Strategy<Value = Command> {
    let word = "[ab]";
    prop_oneof![
        Just(Command::Create { name: name(), document: Document::default() }),
        word.prop_map(|word| Command::Patch(json!({"spec": {"image": word}}))),
        Just(Command::Delete),
        (0..3_u32, word).prop_map(|(version, sha256)| publish(&format!("1.{version}"), &sha256)),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_revisions_count_one_by_one_and_no_version_is_given_twice(
        asked in proptest::collection::vec(commands(), 0..40)
    ) {
        let (mut state, mut history, mut revisions, mut versions) = (Function::default(), vec![], vec![], vec![]);
        for command in asked {
            for event in state.decide(command).unwrap_or_default() {
                state.evolve(&event);
                match &event.change {
                    Change::Created { revision, .. }
                    | Change::Revised { revision, .. }
                    | Change::Deleted { revision } => revisions.push(*revision),
                    Change::Published { version, .. } => versions.push(version.clone()),
                }
                history.push(event);
            }
        }
        prop_assert_eq!(revisions.clone(), (1..=revisions.len() as u32).collect::<Vec<_>>());
        let mut once = versions.clone();
        once.sort();
        once.dedup();
        prop_assert_eq!(once.len(), versions.len());
        prop_assert_eq!(Function::replay(&history), state);
    }
}
