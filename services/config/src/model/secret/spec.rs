use std::sync::Arc;

use cairn_kernel::Aggregate;
use cairn_testkit::given;
use proptest::prelude::*;

use super::{Act, Change, Command, Event, Secret, State, Value};
use crate::model::{Rejection, SecretName, Text};

fn name() -> SecretName {
    "projects/p/secrets/key".parse().unwrap()
}

fn text(text: &str) -> Text {
    Text::stored(text)
}

fn value() -> Value {
    Value(Arc::from(*b"sealed"))
}

fn ask(act: Act) -> Command {
    Command { secret: name(), act }
}

fn happened(change: Change) -> Event {
    Event { secret: name(), change }
}

fn create() -> Command {
    ask(Act::Create { description: text("for the bank"), first: None })
}

fn add(number: u32) -> Command {
    ask(Act::Add { number, value: value(), after: None })
}

fn created() -> Event {
    happened(Change::Created(text("for the bank")))
}

fn added(number: u32) -> Event {
    happened(Change::Added(number, value()))
}

fn not_found(version: u32) -> Rejection {
    Rejection::VersionNotFound { secret: name(), version }
}

#[test]
fn a_secret_is_created_once_and_may_begin_with_a_value() {
    given::<Secret>([]).when(create()).then([created()]);
    given::<Secret>([created()]).when(create()).rejected(Rejection::SecretExists(name()));
    let with_value = Act::Create { description: text("for the bank"), first: Some((1, value())) };
    given::<Secret>([]).when(ask(with_value)).then([created(), added(1)]);
}

#[test]
fn versions_are_counted_and_a_value_that_was_sealed_for_another_number_is_not_taken() {
    given::<Secret>([]).when(add(1)).rejected(Rejection::SecretNotFound(name()));
    given::<Secret>([created()]).when(add(1)).then([added(1)]);
    let ahead = |last| Rejection::VersionAhead { secret: name(), last };
    given::<Secret>([created(), added(1)]).when(add(1)).rejected(ahead(1));
    given::<Secret>([created(), added(1)]).when(add(3)).rejected(ahead(1));
    let after = |after| ask(Act::Add { number: 2, value: value(), after: Some(after) });
    given::<Secret>([created(), added(1)]).when(after(0)).rejected(ahead(1));
    given::<Secret>([created(), added(1)]).when(after(1)).then([added(2)]);
}

#[test]
fn a_version_is_disabled_and_enabled_until_it_is_destroyed() {
    let there = [created(), added(1)];
    let disabled = [created(), added(1), happened(Change::Disabled(1))];
    given::<Secret>(there.clone()).when(ask(Act::Disable(1))).then([happened(Change::Disabled(1))]);
    given::<Secret>(there.clone()).when(ask(Act::Enable(1))).nothing();
    given::<Secret>(disabled.clone()).when(ask(Act::Disable(1))).nothing();
    given::<Secret>(disabled.clone()).when(ask(Act::Enable(1))).then([happened(Change::Enabled(1))]);
    given::<Secret>(there).when(ask(Act::Disable(2))).rejected(not_found(2));
    let destroy = || ask(Act::Destroy(1, text("leaked")));
    let destroyed = happened(Change::Destroyed(1, text("leaked")));
    given::<Secret>(disabled).when(destroy()).then([destroyed.clone()]);
    let gone = [created(), added(1), destroyed];
    given::<Secret>(gone.clone()).when(destroy()).nothing();
    let rejection = Rejection::VersionDestroyed { secret: name(), version: 1 };
    given::<Secret>(gone).when(ask(Act::Enable(1))).rejected(rejection);
}

#[test]
fn a_deleted_secret_takes_its_versions_along_and_one_of_its_name_counts_on() {
    let deleted = [created(), added(1), happened(Change::Deleted)];
    given::<Secret>([created(), added(1)]).when(ask(Act::Delete)).then([happened(Change::Deleted)]);
    given::<Secret>(deleted.clone()).when(ask(Act::Delete)).nothing();
    given::<Secret>([]).when(ask(Act::Delete)).rejected(Rejection::SecretNotFound(name()));
    given::<Secret>(deleted.clone()).when(add(2)).rejected(Rejection::SecretNotFound(name()));
    let again = Act::Create { description: text("again"), first: Some((2, value())) };
    let created_again = happened(Change::Created(text("again")));
    given::<Secret>(deleted.clone()).when(ask(again)).then([created_again, added(2)]);
    assert_eq!(Secret::replay(&deleted).state(1), Some(State::Destroyed));
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        prop::option::of(1..4u32)
            .prop_map(|first| Act::Create { description: text("d"), first: first.map(|number| (number, value())) }),
        (1..5u32).prop_map(|number| Act::Add { number, value: value(), after: None }),
        (1..4u32).prop_map(Act::Disable),
        (1..4u32).prop_map(Act::Enable),
        (1..4u32).prop_map(|number| Act::Destroy(number, text("r"))),
        Just(Act::Delete),
        Just(Act::Describe { description: text("e") }),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_no_number_is_given_twice_and_what_is_destroyed_stays_so(
        acts in prop::collection::vec(any_act(), 0..30)
    ) {
        let (mut state, mut history) = (Secret::default(), vec![]);
        for act in acts {
            let before = state.clone();
            if let Ok(events) = state.decide(ask(act)) {
                events.iter().for_each(|event| state.evolve(event));
                history.extend(events);
            }
            prop_assert!(state.versions.len() >= before.versions.len());
            for (was, is) in before.versions.iter().zip(&state.versions) {
                prop_assert!(*was != State::Destroyed || *is == State::Destroyed);
            }
        }
        prop_assert_eq!(Secret::replay(&history), state);
        let numbers: Vec<u32> = history.iter().filter_map(|event| match event.change {
            Change::Added(number, _) => Some(number),
            _ => None,
        }).collect();
        prop_assert_eq!(&numbers, &(1..).take(numbers.len()).collect::<Vec<u32>>());
    }
}
