use cairn_kernel::{Aggregate, Name};
use cairn_testkit::given;
use proptest::prelude::*;
use serde_json::json;

use super::{Act, Change, Command, Event, Happened, Scope, Step};
use crate::model::{EnvironmentId, EnvironmentName, Json, Key, Rejection, Text};

fn scope() -> Name {
    "projects/p".parse().unwrap()
}

fn id(text: &str) -> EnvironmentId {
    EnvironmentId::stored(text)
}

fn environment(text: &str) -> EnvironmentName {
    EnvironmentName::of(&scope(), &id(text))
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn ask(act: Act) -> Command {
    Command { scope: scope(), act }
}

fn happened(change: Happened) -> Event {
    Event { scope: scope(), change }
}

fn create(name: &str, inherits: Option<&str>) -> Command {
    ask(Act::CreateEnvironment { id: id(name), inherits: inherits.map(id), description: Text::stored("") })
}

fn created(name: &str, inherits: Option<&str>) -> Event {
    let (id, inherits) = (id(name), inherits.map(id));
    happened(Happened::EnvironmentCreated { id, inherits, description: Text::stored("") })
}

fn set(name: &str, value: serde_json::Value) -> Change {
    Change { key: key(name), value: Some(value.into()) }
}

fn unset(name: &str) -> Change {
    Change { key: key(name), value: None }
}

fn revise(environment: &str, expected: Option<u32>, changes: Vec<Change>) -> Command {
    let (id, reason) = (id(environment), Text::stored("why"));
    ask(Act::Revise { id, expected, changes, reason, rolled_back_to: None, staged: false })
}

fn revised(environment: &str, revision: u32, changes: Vec<Change>) -> Event {
    let (id, reason) = (id(environment), Text::stored("why"));
    happened(Happened::Revised { id, revision, changes, reason, rolled_back_to: None, staged: false })
}

fn declare(name: &str, schema: serde_json::Value) -> Command {
    ask(Act::DeclareSchema { key: key(name), schema: schema.into() })
}

fn declared(name: &str, schema: serde_json::Value) -> Event {
    happened(Happened::SchemaDeclared { key: key(name), schema: schema.into() })
}

fn deleted(name: &str) -> Event {
    happened(Happened::EnvironmentDeleted(id(name)))
}

fn delete(name: &str) -> Command {
    ask(Act::DeleteEnvironment { id: id(name), expected: None })
}

#[test]
fn an_environment_inherits_from_one_that_is_there_and_holds_it_there() {
    let missing = Rejection::EnvironmentNotFound(environment("base"));
    given::<Scope>([]).when(create("dev", Some("base"))).rejected(missing);
    let there = [created("base", None), created("dev", Some("base"))];
    given::<Scope>([created("base", None)]).when(create("dev", Some("base"))).then([created("dev", Some("base"))]);
    given::<Scope>(there.clone()).when(create("dev", None)).rejected(Rejection::EnvironmentExists(environment("dev")));
    let in_use = Rejection::EnvironmentInUse { environment: environment("base"), by: environment("dev") };
    given::<Scope>(there.clone()).when(delete("base")).rejected(in_use);
    given::<Scope>(there.clone()).when(delete("dev")).then([deleted("dev")]);
    let alone = [there[0].clone(), there[1].clone(), deleted("dev")];
    given::<Scope>(alone.clone()).when(delete("base")).then([deleted("base")]);
    given::<Scope>(alone).when(delete("dev")).nothing();
    given::<Scope>([]).when(delete("dev")).rejected(Rejection::EnvironmentNotFound(environment("dev")));
}

#[test]
fn not_more_than_eight_inherit_in_a_row() {
    let names: Vec<String> = (0..8).map(|at| format!("e{at}")).collect();
    let parent = |at: usize| at.checked_sub(1).map(|at| names[at].as_str());
    let row: Vec<Event> = (0..8).map(|at| created(&names[at], parent(at))).collect();
    given::<Scope>(row.clone()).when(create("one-more", Some("e6"))).then([created("one-more", Some("e6"))]);
    let limit = Rejection::TooLarge { what: "environments that inherit in a row", limit: 8 };
    given::<Scope>(row).when(create("one-more", Some("e7"))).rejected(limit);
}

#[test]
fn a_revision_says_what_it_changed_and_one_that_changes_nothing_is_none() {
    let begun = [created("dev", None)];
    let first = vec![set("a", json!(1)), set("b", json!("x"))];
    given::<Scope>(begun.clone()).when(revise("dev", None, first.clone())).then([revised("dev", 1, first.clone())]);
    let then = [created("dev", None), revised("dev", 1, first.clone())];
    given::<Scope>(then.clone()).when(revise("dev", None, first)).nothing();
    let second = vec![set("a", json!(1)), unset("b"), unset("c"), set("d", json!(null))];
    let effective = vec![unset("b"), set("d", json!(null))];
    given::<Scope>(then.clone()).when(revise("dev", Some(1), second.clone())).then([revised("dev", 2, effective)]);
    let stale = Rejection::EnvironmentStale { environment: environment("dev"), revision: 1 };
    given::<Scope>(then).when(revise("dev", Some(0), second.clone())).rejected(stale);
    given::<Scope>([]).when(revise("dev", None, second)).rejected(Rejection::EnvironmentNotFound(environment("dev")));
}

#[test]
fn a_value_fits_the_schema_of_its_key_whichever_comes_first() {
    let whole = json!({"type": "integer", "minimum": 1});
    let begun = [created("dev", None), declared("size", whole.clone())];
    given::<Scope>(begun.clone()).when(revise("dev", None, vec![set("size", json!(2))])).then([revised(
        "dev",
        1,
        vec![set("size", json!(2))],
    )]);
    let refused = Scope::replay(&begun).decide(revise("dev", None, vec![set("size", json!("canary"))])).unwrap_err();
    assert!(matches!(&refused, Rejection::ValueInvalid { problem, .. } if !problem.contains("canary")), "{refused}");
    given::<Scope>(begun.clone()).when(declare("size", whole.clone())).nothing();

    let with_text = [created("dev", None), revised("dev", 1, vec![set("size", json!("x"))])];
    let refused = Scope::replay(&with_text).decide(declare("size", whole.clone())).unwrap_err();
    assert!(matches!(&refused, Rejection::SchemaUnmet { .. }), "{refused}");
    let gone = [with_text[0].clone(), with_text[1].clone(), deleted("dev")];
    given::<Scope>(gone).when(declare("size", whole.clone())).then([declared("size", whole)]);
    let refused = Scope::default().decide(declare("size", json!({"type": "whole"}))).unwrap_err();
    assert!(matches!(&refused, Rejection::SchemaInvalid { .. }), "{refused}");
    let withdraw = || ask(Act::WithdrawSchema(key("size")));
    given::<Scope>(begun).when(withdraw()).then([happened(Happened::SchemaWithdrawn(key("size")))]);
    given::<Scope>([]).when(withdraw()).nothing();
}

#[test]
fn what_is_too_much_is_refused() {
    let begun = [created("dev", None)];
    let large: Json = json!("x".repeat(16 << 10)).into();
    let limit = Rejection::TooLarge { what: "bytes of a value", limit: 16 << 10 };
    let change = Change { key: key("a"), value: Some(large) };
    given::<Scope>(begun.clone()).when(revise("dev", None, vec![change])).rejected(limit);
    let many = (0..100).map(|at| set(&format!("k{at}"), json!("x".repeat(16_000)))).collect();
    let limit = Rejection::TooLarge { what: "bytes of an environment", limit: 1 << 20 };
    given::<Scope>(begun.clone()).when(revise("dev", None, many)).rejected(limit);
    let many = (0..1_001).map(|at| set(&format!("k{at}"), json!(1))).collect();
    let limit = Rejection::TooLarge { what: "changes of a revision", limit: 1_000 };
    given::<Scope>(begun).when(revise("dev", None, many)).rejected(limit);
}

#[test]
fn an_environment_that_is_made_again_counts_on_and_begins_empty() {
    let again =
        [created("dev", None), revised("dev", 1, vec![set("a", json!(1))]), deleted("dev"), created("dev", None)];
    given::<Scope>(again).when(revise("dev", None, vec![set("a", json!(1))])).then([revised(
        "dev",
        2,
        vec![set("a", json!(1))],
    )]);
}

fn staged(revision: u32, changes: Vec<Change>) -> Event {
    let (id, reason) = (id("platform"), Text::stored("why"));
    let change = Happened::Revised { id, revision, changes, reason, rolled_back_to: None, staged: true };
    Event { scope: Name::ROOT, change }
}

fn report(replica: &str, revision: u32, step: Step) -> Command {
    let act = Act::Report { id: id("platform"), revision, replica: replica.to_owned(), step };
    Command { scope: Name::ROOT, act }
}

fn reported(replica: &str, revision: u32, step: Step) -> Event {
    let change = Happened::Reported { id: id("platform"), revision, replica: replica.to_owned(), step };
    Event { scope: Name::ROOT, change }
}

#[test]
fn a_staged_revision_counts_for_whoever_tries_it_and_then_for_all() {
    let begun = [staged(1, vec![set("a", json!(1))])];
    given::<Scope>(begun.clone()).when(report("one", 1, Step::Begun)).then([reported("one", 1, Step::Begun)]);
    given::<Scope>(begun.clone()).when(report("one", 1, Step::Finished)).nothing();
    let tried = [begun[0].clone(), reported("one", 1, Step::Begun)];
    given::<Scope>(tried.clone()).when(report("other", 1, Step::Begun)).nothing();
    given::<Scope>(tried.clone()).when(report("other", 1, Step::Finished)).nothing();
    given::<Scope>(tried.clone()).when(report("one", 7, Step::Finished)).nothing();
    given::<Scope>(tried.clone()).when(report("one", 1, Step::Finished)).then([reported("one", 1, Step::Finished)]);
    let counts =
        |history: &[Event], replica: &str| Scope::replay(history).platform().unwrap().values_for(replica).len();
    assert_eq!((counts(&begun, "one"), counts(&tried, "one"), counts(&tried, "other")), (0, 1, 0));
    let finished = [tried[0].clone(), tried[1].clone(), reported("one", 1, Step::Finished)];
    assert_eq!(counts(&finished, "other"), 1);
}

#[test]
fn a_revision_that_somebody_is_not_well_with_is_taken_back_once() {
    let history =
        [staged(1, vec![set("a", json!(1)), set("b", json!(2))]), staged(2, vec![set("a", json!(9)), unset("b")])];
    let abandoned = || Step::Abandoned("too hot".to_owned());
    let back = Happened::Revised {
        id: id("platform"),
        revision: 3,
        changes: vec![set("a", json!(1)), set("b", json!(2))],
        reason: Text::stored("one was not well with revision 2"),
        rolled_back_to: Some(1),
        staged: false,
    };
    let back = Event { scope: Name::ROOT, change: back };
    given::<Scope>(history.clone())
        .when(report("one", 2, abandoned()))
        .then([reported("one", 2, abandoned()), back.clone()]);
    given::<Scope>(history.clone()).when(report("one", 1, abandoned())).nothing();
    let taken = [history[0].clone(), history[1].clone(), reported("one", 2, abandoned()), back];
    given::<Scope>(taken.clone()).when(report("other", 2, abandoned())).nothing();
    given::<Scope>(taken).when(report("other", 3, abandoned())).nothing();
}

fn any_command() -> impl Strategy<Value = Command> {
    let name = || prop::sample::select(vec!["aa", "bb"]);
    let value = || prop::option::of(prop::sample::select(vec![json!(1), json!("x")]));
    prop_oneof![
        (name(), prop::option::of(name())).prop_map(|(name, inherits)| create(name, inherits)),
        name().prop_map(delete),
        (name(), "[kl]", value()).prop_map(|(name, key, value)| {
            let change = Change { key: Key::stored(key), value: value.map(Json::from) };
            revise(name, None, vec![change])
        }),
        "[kl]".prop_map(|name| declare(&name, json!({"type": "integer"}))),
        "[kl]".prop_map(|name| ask(Act::WithdrawSchema(Key::stored(name)))),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_what_is_in_force_fits_its_schema_and_history_replays(
        commands in prop::collection::vec(any_command(), 0..30)
    ) {
        let (mut state, mut history) = (Scope::default(), vec![]);
        for command in commands {
            if let Ok(events) = state.decide(command) {
                events.iter().for_each(|event| state.evolve(event));
                history.extend(events);
            }
            for environment in state.environments.values().filter(|environment| environment.is_there) {
                for (key, value) in &environment.entries {
                    prop_assert!(!state.schemas.contains_key(key) || value.value().is_i64());
                }
                if let Some(parent) = &environment.inherits {
                    prop_assert!(state.environment(parent).is_some());
                }
            }
        }
        prop_assert_eq!(Scope::replay(&history), state);
    }
}
