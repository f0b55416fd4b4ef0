use cairn_testkit::given;
use proptest::prelude::*;

use super::{Act, Change, Command, Event, Organization, Pair};
use crate::model::{OrganizationName, Rejection, RoleName, Text};
use cairn_kernel::Aggregate;

fn acme() -> OrganizationName {
    OrganizationName::stored("organizations/acme")
}

fn default() -> OrganizationName {
    OrganizationName::stored("organizations/default")
}

fn ask(act: Act) -> Command {
    Command { organization: acme(), act }
}

fn happened(change: Change) -> Event {
    Event { organization: acme(), change }
}

fn create() -> Command {
    ask(Act::Create { title: Text::stored("Acme"), description: Text::default() })
}

fn created() -> Event {
    happened(Change::Created { title: Text::stored("Acme"), description: Text::default() })
}

fn titled(title: &str) -> Act {
    Act::Describe { title: Some(Text::stored(title)), description: None, separated: None }
}

fn apart() -> Vec<Pair> {
    let role = |name: &str| RoleName::stored(name);
    vec![Pair { role: role("roles/editor"), other_role: role("roles/manager"), reason: Text::stored("four eyes") }]
}

#[test]
fn an_organization_is_created_once_and_its_name_is_never_given_out_again() {
    given::<Organization>([]).when(create()).then([created()]);
    given::<Organization>([created()]).when(create()).rejected(Rejection::OrganizationExists(acme()));
    let deleted = [created(), happened(Change::Deleted)];
    given::<Organization>(deleted).when(create()).rejected(Rejection::OrganizationExists(acme()));
}

#[test]
fn the_default_organization_is_there_without_having_been_created_and_stays() {
    let of_default = |act| Command { organization: default(), act };
    let described = Change::Described { title: Text::stored("Ours"), description: Text::default() };
    let described = Event { organization: default(), change: described };
    given::<Organization>([]).when(of_default(titled("Ours"))).then([described]);
    given::<Organization>([]).when(of_default(Act::Delete)).rejected(Rejection::OrganizationNeeded(default()));
    let again = of_default(Act::Create { title: Text::default(), description: Text::default() });
    given::<Organization>([]).when(again).rejected(Rejection::OrganizationExists(default()));
    assert_eq!(Organization::default().require_open(&default()), Ok(()));
    assert_eq!(Organization::default().require_open(&acme()), Err(Rejection::OrganizationNotFound(acme())));
}

#[test]
fn what_is_said_of_it_and_which_duties_are_apart_change_each_by_itself() {
    let both = Act::Describe { title: Some(Text::stored("New")), description: None, separated: Some(apart()) };
    let described = Change::Described { title: Text::stored("New"), description: Text::default() };
    let separated = Change::DutiesSeparated { pairs: apart() };
    given::<Organization>([created()])
        .when(ask(both.clone()))
        .then([happened(described), happened(separated.clone())])
        .when(ask(both))
        .nothing();
    let only = Act::Describe { title: None, description: None, separated: Some(apart()) };
    given::<Organization>([created()]).when(ask(only)).then([happened(separated)]);
}

#[test]
fn a_deleted_organization_can_be_restored_and_nothing_else() {
    let deleted = || [created(), happened(Change::Deleted)];
    given::<Organization>([created()]).when(ask(Act::Delete)).then([happened(Change::Deleted)]);
    given::<Organization>(deleted()).when(ask(Act::Delete)).nothing();
    given::<Organization>(deleted()).when(ask(titled("x"))).rejected(Rejection::OrganizationDeleted(acme()));
    given::<Organization>(deleted()).when(ask(Act::Restore)).then([happened(Change::Restored)]);
    given::<Organization>([created()]).when(ask(Act::Restore)).nothing();
    for act in [titled("x"), Act::Delete, Act::Restore] {
        given::<Organization>([]).when(ask(act)).rejected(Rejection::OrganizationNotFound(acme()));
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Create { title: Text::stored("Acme"), description: Text::default() }),
        "[ab]{0,2}".prop_map(|title| titled(&title)),
        any::<bool>().prop_map(|is_some| Act::Describe {
            title: None,
            description: None,
            separated: Some(if is_some { apart() } else { vec![] })
        }),
        Just(Act::Delete),
        Just(Act::Restore),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_its_history_replays_to_its_state_and_a_repeat_changes_nothing(
        acts in prop::collection::vec((any::<bool>(), any_act()), 0..20)
    ) {
        let (mut state, mut history) = (Organization::default(), vec![]);
        for (is_default, act) in acts {
            let organization = if is_default { default() } else { acme() };
            let command = Command { organization, act };
            let Ok(events) = state.decide(command.clone()) else { continue };
            events.iter().for_each(|event| state.evolve(event));
            history.extend(events);
            if !matches!(command.act, Act::Create { .. }) {
                prop_assert_eq!(state.decide(command), Ok(vec![]));
            }
        }
        prop_assert_eq!(Organization::replay(&history), state);
    }
}
