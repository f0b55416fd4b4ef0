use cairn_kernel::Aggregate;
use cairn_testkit::given;
use proptest::prelude::*;

use super::{Act, Change, Command, Event, User};
use crate::model::{Rejection, Standing, Text, UserName};

fn name() -> UserName {
    UserName::stored("users/u-1")
}

fn ask(act: Act) -> Command {
    Command { user: name(), act }
}

fn happened(change: Change) -> Event {
    Event { user: name(), change }
}

fn disabled() -> Change {
    Change::Disabled { reason: Text::stored("left") }
}

fn disable() -> Command {
    ask(Act::Disable { reason: Text::stored("left") })
}

#[test]
fn a_user_is_disabled_and_enabled_and_doing_it_twice_changes_nothing() {
    given::<User>([happened(Change::Created)])
        .when(disable())
        .then([happened(disabled())])
        .when(disable())
        .nothing()
        .when(ask(Act::Enable))
        .then([happened(Change::Enabled)])
        .when(ask(Act::Enable))
        .nothing();
}

#[test]
fn a_deleted_user_stays_deleted() {
    let deleted = [happened(Change::Created), happened(Change::Deleted)];
    given::<User>(deleted.clone()).when(ask(Act::Delete)).nothing();
    for act in [Act::Enable, Act::Create, Act::Describe { fields: vec!["email".into()] }] {
        given::<User>(deleted.clone()).when(ask(act)).rejected(Rejection::UserDeleted(name()));
    }
}

#[test]
fn that_a_person_was_erased_is_on_record_once_and_only_of_the_deleted() {
    let erase = || ask(Act::Erase { reason: Text::stored("request 7") });
    given::<User>([happened(Change::Created)]).when(erase()).rejected(Rejection::UserNotDeleted(name()));
    given::<User>([happened(Change::Created), happened(Change::Deleted)])
        .when(erase())
        .then([happened(Change::Erased { reason: Text::stored("request 7") })])
        .when(erase())
        .nothing();
}

#[test]
fn the_log_says_that_a_profile_changed_and_not_how() {
    let fields = vec!["email".to_owned()];
    given::<User>([happened(Change::Created)])
        .when(ask(Act::Describe { fields: fields.clone() }))
        .then([happened(Change::Described { fields })]);
    given::<User>([happened(Change::Created)]).when(ask(Act::Describe { fields: vec![] })).nothing();
}

#[test]
fn who_was_never_created_is_not_found() {
    for act in [Act::Enable, Act::Delete, Act::Disable { reason: Text::default() }] {
        given::<User>([]).when(ask(act)).rejected(Rejection::UserNotFound(name()));
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Create),
        Just(Act::Describe { fields: vec!["email".into()] }),
        Just(Act::Disable { reason: Text::default() }),
        Just(Act::Enable),
        Just(Act::Delete),
        Just(Act::Erase { reason: Text::default() }),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_of_a_user_gone_is_gone_and_history_replays_to_state(acts in prop::collection::vec(any_act(), 0..20)) {
        let (mut state, mut history) = (User::default(), vec![]);
        for act in acts {
            let before = state.standing();
            let events = state.decide(ask(act)).unwrap_or_default();
            events.iter().for_each(|event| state.evolve(event));
            history.extend(events);
            prop_assert!(before != Standing::Deleted || state.standing() == Standing::Deleted);
            prop_assert!(before == Standing::Absent || state.standing() != Standing::Absent);
        }
        prop_assert_eq!(User::replay(&history), state);
    }
}
