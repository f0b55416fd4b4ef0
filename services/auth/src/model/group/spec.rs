use cairn_kernel::Aggregate;
use cairn_testkit::given;
use proptest::prelude::*;

use super::{About, Act, Change, Command, Event, Group};
use crate::model::{GroupName, HolderName, Rejection, Text};

fn name() -> GroupName {
    GroupName::stored("organizations/acme/groups/ml")
}

fn ask(act: Act) -> Command {
    Command { group: name(), act }
}

fn happened(change: Change) -> Event {
    Event { group: name(), change }
}

fn about() -> About {
    About { display_name: Text::stored("ML"), ..About::default() }
}

fn created() -> Event {
    happened(Change::Created { about: about() })
}

fn who(ids: &[&str]) -> Vec<HolderName> {
    ids.iter().map(|id| HolderName::stored(format!("users/{id}"))).collect()
}

fn add(ids: &[&str]) -> Command {
    ask(Act::Add { members: who(ids), members_max: 3 })
}

fn remove(ids: &[&str]) -> Command {
    ask(Act::Remove { members: who(ids) })
}

#[test]
fn members_come_and_go_once() {
    given::<Group>([created()])
        .when(add(&["bob", "ada", "bob"]))
        .then([happened(Change::MembersAdded { members: who(&["ada", "bob"]) })])
        .when(add(&["ada"]))
        .nothing()
        .when(remove(&["ada", "eve"]))
        .then([happened(Change::MembersRemoved { members: who(&["ada"]) })])
        .when(remove(&["ada"]))
        .nothing();
}

#[test]
fn a_group_holds_no_more_than_it_may() {
    let full = Rejection::Full { holder: name().to_string(), what: "members", limit: 3 };
    given::<Group>([created()]).when(add(&["a", "b", "c", "d"])).rejected(full);
    given::<Group>([created()])
        .when(add(&["a", "b", "c", "c"]))
        .then([happened(Change::MembersAdded { members: who(&["a", "b", "c"]) })]);
}

#[test]
fn a_deleted_group_stays_deleted_and_its_name_taken() {
    let deleted = || [created(), happened(Change::Deleted)];
    given::<Group>(deleted()).when(ask(Act::Delete)).nothing();
    given::<Group>(deleted()).when(add(&["ada"])).rejected(Rejection::GroupDeleted(name()));
    given::<Group>(deleted()).when(ask(Act::Create { about: about() })).rejected(Rejection::GroupExists(name()));
    given::<Group>([]).when(add(&["ada"])).rejected(Rejection::GroupNotFound(name()));
}

fn any_command() -> impl Strategy<Value = Command> {
    let ids = || prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d"]), 0..4);
    prop_oneof![
        Just(ask(Act::Create { about: about() })),
        ids().prop_map(|ids| add(&ids)),
        ids().prop_map(|ids| remove(&ids)),
        "[xy]{0,1}".prop_map(|text| ask(Act::Describe {
            display_name: None,
            description: None,
            external_id: Some(Text::stored(text))
        })),
        Just(ask(Act::Delete)),
    ]
}

proptest! {
    #[test]
    fn a_group_never_holds_too_many_and_a_repeat_changes_nothing(commands in prop::collection::vec(any_command(), 0..30)) {
        let (mut state, mut history) = (Group::default(), vec![]);
        for command in commands {
            let Ok(events) = state.decide(command.clone()) else { continue };
            events.iter().for_each(|event| state.evolve(event));
            history.extend(events);
            prop_assert!(state.members.len() <= 3);
            if !matches!(command.act, Act::Create { .. }) {
                prop_assert_eq!(state.decide(command), Ok(vec![]));
            }
        }
        prop_assert_eq!(Group::replay(&history), state);
    }
}
