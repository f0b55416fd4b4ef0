use cairn_kernel::Aggregate;
use cairn_testkit::given;
use proptest::prelude::*;

use super::{Act, Change, Command, Event, Project, Stage, Tags};
use crate::model::{OrganizationName, ProjectName, Quota, Rejection, TagText, Text};

fn name() -> ProjectName {
    ProjectName::stored("projects/fraud")
}

fn acme() -> OrganizationName {
    OrganizationName::stored("organizations/acme")
}

fn tagged(value: &str) -> Tags {
    [(TagText::stored("tier"), TagText::stored(value))].into()
}

fn limited(runs_max: Option<u32>) -> Quota {
    Quota { runs_max, storage_bytes_max: Some(1 << 40), ..Quota::default() }
}

fn ask(act: Act) -> Command {
    Command { project: name(), act }
}

fn happened(change: Change) -> Event {
    Event { project: name(), change }
}

fn created() -> Event {
    happened(Change::Created { title: Text::stored("Fraud"), description: Text::default(), organization: acme() })
}

fn create() -> Command {
    ask(Act::Create { title: Text::stored("Fraud"), description: Text::default(), organization: acme() })
}

fn describe(title: &str) -> Command {
    ask(Act::Describe { title: Some(Text::stored(title)), description: None })
}

#[test]
fn a_project_is_created_once_and_its_name_is_never_given_out_again() {
    given::<Project>([]).when(create()).then([created()]);
    given::<Project>([created()]).when(create()).rejected(Rejection::ProjectExists(name()));
    given::<Project>([created(), happened(Change::Deleted)]).when(create()).rejected(Rejection::ProjectExists(name()));
}

#[test]
fn describing_changes_what_is_given_and_keeps_the_rest() {
    let described = Change::Described { title: Text::stored("Fraud, EU"), description: Text::default() };
    given::<Project>([created()]).when(describe("Fraud, EU")).then([happened(described)]);
    given::<Project>([created()]).when(describe("Fraud")).nothing();
}

#[test]
fn a_project_is_classified_as_a_whole() {
    let tags = tagged("prod");
    given::<Project>([created()])
        .when(ask(Act::Classify { tags: tags.clone() }))
        .then([happened(Change::Classified { tags: tags.clone() })])
        .when(ask(Act::Classify { tags }))
        .nothing();
    let deleted = [created(), happened(Change::Deleted)];
    let refused = Rejection::ProjectDeleted(name());
    given::<Project>(deleted).when(ask(Act::Classify { tags: Tags::default() })).rejected(refused);
}

#[test]
fn a_quota_is_set_as_a_whole_and_taken_away_by_setting_none() {
    let quota = limited(Some(3));
    given::<Project>([created()])
        .when(ask(Act::SetQuota { quota }))
        .then([happened(Change::QuotaSet { quota })])
        .when(ask(Act::SetQuota { quota }))
        .nothing()
        .when(ask(Act::SetQuota { quota: Quota::default() }))
        .then([happened(Change::QuotaSet { quota: Quota::default() })]);
    given::<Project>([created()]).when(ask(Act::SetQuota { quota: Quota::default() })).nothing();
    let deleted = [created(), happened(Change::Deleted)];
    given::<Project>(deleted).when(ask(Act::SetQuota { quota })).rejected(Rejection::ProjectDeleted(name()));
}

#[test]
fn a_deleted_project_can_be_restored_and_not_described() {
    let deleted = [created(), happened(Change::Deleted)];
    given::<Project>([created()]).when(ask(Act::Delete)).then([happened(Change::Deleted)]);
    given::<Project>(deleted.clone()).when(ask(Act::Delete)).nothing();
    given::<Project>(deleted.clone()).when(describe("x")).rejected(Rejection::ProjectDeleted(name()));
    given::<Project>(deleted).when(ask(Act::Restore)).then([happened(Change::Restored)]);
    given::<Project>([created()]).when(ask(Act::Restore)).nothing();
}

#[test]
fn a_project_that_was_never_created_is_not_found() {
    let limit = ask(Act::SetQuota { quota: limited(None) });
    for command in [describe("x"), limit, ask(Act::Delete), ask(Act::Restore)] {
        given::<Project>([]).when(command).rejected(Rejection::ProjectNotFound(name()));
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        Just(create()),
        "[ab]{0,2}".prop_map(|title| describe(&title)),
        "[ab]".prop_map(|value| ask(Act::Classify { tags: tagged(&value) })),
        prop::option::of(0..2_u32).prop_map(|runs_max| ask(Act::SetQuota { quota: limited(runs_max) })),
        Just(ask(Act::Delete)),
        Just(ask(Act::Restore)),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_of_a_project_its_history_replays_to_its_state(commands in prop::collection::vec(any_command(), 0..20)) {
        let (mut state, mut history) = (Project::default(), vec![]);
        for command in commands {
            let before = state.clone();
            match state.decide(command.clone()) {
                Err(_) => prop_assert_eq!(&state, &before),
                Ok(events) => {
                    events.iter().for_each(|event| state.evolve(event));
                    history.extend(events);
                    // What was just done, done again, changes nothing more. Creating is the one thing done only once.
                    if !matches!(command.act, Act::Create { .. }) {
                        prop_assert_eq!(state.decide(command), Ok(vec![]));
                    }
                }
            }
            prop_assert!(before.stage == Stage::Absent || state.stage != Stage::Absent, "nothing is ever undone");
        }
        prop_assert_eq!(Project::replay(&history), state);
    }
}
