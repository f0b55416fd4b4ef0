use std::collections::BTreeSet;

use cairn_kernel::Aggregate;
use cairn_testkit::given;
use proptest::prelude::*;

use super::{Act, Change, Command, Event, Role};
use crate::model::{Rejection, RoleName, Text};

fn name() -> RoleName {
    RoleName::stored("organizations/acme/roles/labeler")
}

fn ask(act: Act) -> Command {
    Command { role: name(), act }
}

fn happened(change: Change) -> Event {
    Event { role: name(), change }
}

fn words(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn create(held: &[&str]) -> Command {
    ask(Act::Create { description: Text::default(), permissions: words(held) })
}

fn created(held: &[&str]) -> Event {
    happened(Change::Created { description: Text::default(), permissions: words(held) })
}

fn redefine(held: &[&str]) -> Command {
    ask(Act::Redefine { description: None, permissions: Some(words(held)) })
}

#[test]
fn a_role_is_made_once_means_something_else_later_and_is_gone_for_ever() {
    let redefined = Change::Redefined { description: Text::default(), permissions: words(&["b.c.d"]) };
    given::<Role>([])
        .when(create(&["a.b.c"]))
        .then([created(&["a.b.c"])])
        .when(redefine(&["b.c.d"]))
        .then([happened(redefined)])
        .when(redefine(&["b.c.d"]))
        .nothing()
        .when(ask(Act::Delete))
        .then([happened(Change::Deleted)])
        .when(ask(Act::Delete))
        .nothing();
    let deleted = || [created(&[]), happened(Change::Deleted)];
    given::<Role>(deleted()).when(create(&[])).rejected(Rejection::RoleExists(name()));
    given::<Role>(deleted()).when(redefine(&[])).rejected(Rejection::RoleDeleted(name()));
    given::<Role>([]).when(redefine(&[])).rejected(Rejection::RoleNotFound(name()));
}

proptest! {
    #[test]
    fn what_cannot_be_given_never_can_again(acts in prop::collection::vec(0..4u8, 0..20)) {
        let (mut state, mut history) = (Role::default(), vec![]);
        let mut was_deleted = false;
        for act in acts {
            let command = match act {
                0 => create(&["a.b.c"]),
                1 => redefine(&["a.b.c", "b.c.d"]),
                2 => redefine(&[]),
                _ => ask(Act::Delete),
            };
            let Ok(events) = state.decide(command) else { continue };
            events.iter().for_each(|event| state.evolve(event));
            was_deleted |= events.iter().any(|event| event.change == Change::Deleted);
            history.extend(events);
            prop_assert!(!(was_deleted && state.permissions().is_some()));
        }
        prop_assert_eq!(Role::replay(&history), state);
    }
}
