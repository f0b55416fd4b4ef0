use cairn_kernel::Aggregate;
use cairn_testkit::given;
use proptest::prelude::*;

use super::{Act, Change, Command, Event, ServiceAccount};
use crate::model::{Rejection, ServiceAccountName, Standing, Text};

fn name() -> ServiceAccountName {
    ServiceAccountName::stored("serviceAccounts/trainer")
}

fn ask(act: Act) -> Command {
    Command { service_account: name(), act }
}

fn happened(change: Change) -> Event {
    Event { service_account: name(), change }
}

fn created() -> Event {
    happened(Change::Created { title: Text::stored("Trainer"), description: Text::default(), organization: None })
}

fn create() -> Act {
    Act::Create { title: Text::stored("Trainer"), description: Text::default(), organization: None }
}

#[test]
fn a_service_account_is_created_once_and_its_id_is_never_given_out_again() {
    given::<ServiceAccount>([]).when(ask(create())).then([created()]);
    let taken = Rejection::ServiceAccountExists(name());
    given::<ServiceAccount>([created()]).when(ask(create())).rejected(taken.clone());
    given::<ServiceAccount>([created(), happened(Change::Deleted)]).when(ask(create())).rejected(taken);
}

#[test]
fn a_service_account_is_disabled_and_enabled_with_what_it_was() {
    let reason = Text::stored("leaked");
    given::<ServiceAccount>([created()])
        .when(ask(Act::Disable { reason: reason.clone() }))
        .then([happened(Change::Disabled { reason: reason.clone() })])
        .when(ask(Act::Disable { reason }))
        .nothing()
        .when(ask(Act::Enable))
        .then([happened(Change::Enabled)]);
}

#[test]
fn a_deleted_service_account_stays_deleted() {
    let deleted = [created(), happened(Change::Deleted)];
    given::<ServiceAccount>(deleted.clone()).when(ask(Act::Delete)).nothing();
    given::<ServiceAccount>(deleted).when(ask(Act::Enable)).rejected(Rejection::ServiceAccountDeleted(name()));
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(create()),
        "[ab]{0,2}".prop_map(|title| Act::Describe { title: Some(Text::stored(title)), description: None }),
        Just(Act::Disable { reason: Text::default() }),
        Just(Act::Enable),
        Just(Act::Delete),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_of_an_account_gone_is_gone_and_history_replays_to_state(acts in prop::collection::vec(any_act(), 0..20)) {
        let (mut state, mut history) = (ServiceAccount::default(), vec![]);
        for act in acts {
            let before = state.standing();
            let events = state.decide(ask(act)).unwrap_or_default();
            events.iter().for_each(|event| state.evolve(event));
            history.extend(events);
            prop_assert!(before != Standing::Deleted || state.standing() == Standing::Deleted);
        }
        prop_assert_eq!(ServiceAccount::replay(&history), state);
    }
}
