use std::time::Duration;

use cairn_kernel::{Aggregate, Name, Time};
use cairn_testkit::given;
use proptest::prelude::*;

use super::{Act, Binding, Change, Command, Event, Object, Source, Terms};
use crate::model::{BindingName, Condition, HolderName, Rejection, RoleName, Text};

const NOW: Time = Time::from_millis(1_800_000_000_000);

fn name() -> BindingName {
    BindingName::stored("bindings/b")
}

fn terms(role: &str, resource: &str, expire_time: Option<Time>) -> Terms {
    Terms {
        principal: HolderName::stored("users/u-1"),
        object: Object::Role(RoleName::stored(role)),
        resource: resource.parse().unwrap(),
        expire_time,
        condition: None,
        source: Source::Manual,
        activation: None,
    }
}

fn grant(terms: Terms) -> Command {
    Command { binding: name(), act: Act::Grant { terms: Box::new(terms), reason: Text::default(), now: NOW } }
}

fn withdraw() -> Command {
    Command { binding: name(), act: Act::Withdraw { reason: Text::default() } }
}

fn granted(terms: Terms) -> Event {
    Event { binding: name(), change: Change::Granted { terms, reason: Text::default() } }
}

fn withdrawn(terms: Terms) -> Event {
    Event { binding: name(), change: Change::Withdrawn { terms, reason: Text::default() } }
}

#[test]
fn a_role_is_given_and_taken_and_its_taking_says_what_it_was() {
    let viewer = || terms("roles/viewer", "projects/fraud", None);
    given::<Binding>([])
        .when(grant(viewer()))
        .then([granted(viewer())])
        .when(withdraw())
        .then([withdrawn(viewer())])
        .when(withdraw())
        .nothing();
    given::<Binding>([]).when(withdraw()).rejected(Rejection::BindingNotFound(name()));
}

#[test]
fn a_role_that_has_ended_cannot_be_given() {
    let until = Time::from_micros(i64::MAX);
    let ended = grant(terms("roles/viewer", "*", Some(NOW)));
    let refused = Rejection::ExpiryOutOfRange { field: "expire_time", given: NOW, after: NOW, until };
    given::<Binding>([]).when(ended).rejected(refused);
}

#[test]
fn only_the_whole_and_endless_admin_role_makes_an_administrator() {
    assert!(terms("roles/admin", "*", None).makes_administrator());
    assert!(!terms("roles/admin", "projects/fraud", None).makes_administrator());
    assert!(!terms("roles/admin", "*", Some(NOW.after(Duration::from_secs(1)))).makes_administrator());
    assert!(!terms("roles/manager", "*", None).makes_administrator());
    assert!(Name::ROOT.is_root());
    let whole = || terms("roles/admin", "*", None);
    assert!(!Terms { condition: Some(Condition::default()), ..whole() }.makes_administrator());
    assert!(!Terms { principal: HolderName::stored("organizations/o/groups/g"), ..whole() }.makes_administrator());
    assert!(!Terms { object: Object::DeniedRole(RoleName::stored("roles/admin")), ..whole() }.makes_administrator());
}

proptest! {
    #[test]
    fn what_was_withdrawn_never_holds_again(commands in prop::collection::vec(any::<bool>(), 0..12)) {
        let (mut state, mut history) = (Binding::default(), vec![]);
        let mut was_withdrawn = false;
        for is_grant in commands {
            let command = if is_grant { grant(terms("roles/viewer", "*", None)) } else { withdraw() };
            let events = state.decide(command).unwrap_or_default();
            events.iter().for_each(|event| state.evolve(event));
            was_withdrawn |= events.iter().any(|event| matches!(event.change, Change::Withdrawn { .. }));
            history.extend(events);
            prop_assert!(!(was_withdrawn && state.is_held()));
        }
        prop_assert_eq!(Binding::replay(&history), state);
    }
}
