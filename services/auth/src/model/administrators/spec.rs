use cairn_kernel::Aggregate;
use cairn_testkit::given;
use proptest::prelude::*;

use super::{Administrators, Command, Event};
use crate::model::{BindingName, PrincipalName, Rejection};

fn who(id: &str) -> PrincipalName {
    PrincipalName::stored(format!("users/{id}"))
}

fn what(id: &str) -> BindingName {
    BindingName::stored(format!("bindings/{id}"))
}

fn added(principal: &str, binding: &str) -> Event {
    Event::Added { principal: who(principal), binding: what(binding) }
}

fn suspended(principal: &str) -> Event {
    Event::Suspended { principal: who(principal) }
}

fn remove(binding: &str) -> Command {
    Command::Remove { binding: what(binding) }
}

fn suspend(principal: &str) -> Command {
    Command::Suspend { principal: who(principal) }
}

#[test]
fn the_last_administrator_can_neither_lose_the_role_nor_be_disabled() {
    let alone = || [added("ada", "1")];
    given::<Administrators>(alone()).when(remove("1")).rejected(Rejection::LastAdministrator);
    given::<Administrators>(alone()).when(suspend("ada")).rejected(Rejection::LastAdministrator);
}

#[test]
fn one_of_two_can_go() {
    let two = || [added("ada", "1"), added("bob", "2")];
    let removed = Event::Removed { principal: who("ada"), binding: what("1") };
    given::<Administrators>(two())
        .when(remove("1"))
        .then([removed])
        .when(suspend("bob"))
        .rejected(Rejection::LastAdministrator);
    given::<Administrators>(two())
        .when(suspend("ada"))
        .then([suspended("ada")])
        .when(remove("2"))
        .rejected(Rejection::LastAdministrator);
}

#[test]
fn two_bindings_of_one_person_are_one_administrator() {
    let twice = || [added("ada", "1"), added("ada", "2")];
    let removed = Event::Removed { principal: who("ada"), binding: what("1") };
    given::<Administrators>(twice()).when(remove("1")).then([removed]);
    given::<Administrators>(twice()).when(suspend("ada")).rejected(Rejection::LastAdministrator);
}

#[test]
fn who_is_no_administrator_comes_and_goes_unnoticed() {
    given::<Administrators>([added("ada", "1")]).when(suspend("bob")).nothing();
    given::<Administrators>([added("ada", "1")]).when(remove("9")).nothing();
    given::<Administrators>([added("ada", "1")]).when(Command::Resume { principal: who("ada") }).nothing();
}

fn any_command() -> impl Strategy<Value = Command> {
    let person = || prop::sample::select(vec!["ada", "bob", "cleo"]);
    let binding = || prop::sample::select(vec!["1", "2", "3", "4"]);
    prop_oneof![
        (person(), binding())
            .prop_map(|(person, binding)| Command::Add { principal: who(person), binding: what(binding) }),
        binding().prop_map(remove),
        person().prop_map(suspend),
        person().prop_map(|person| Command::Resume { principal: who(person) }),
    ]
}

proptest! {
    #[test]
    fn once_there_is_an_administrator_there_always_is(commands in prop::collection::vec(any_command(), 0..40)) {
        let (mut state, mut history) = (Administrators::default(), vec![]);
        for command in commands {
            let had_one = !state.active().is_empty();
            let events = state.decide(command).unwrap_or_default();
            events.iter().for_each(|event| state.evolve(event));
            history.extend(events);
            prop_assert!(!had_one || !state.active().is_empty());
        }
        prop_assert_eq!(Administrators::replay(&history), state);
    }
}
