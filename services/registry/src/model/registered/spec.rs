use std::time::Duration;

use cairn_testkit::given;

use super::*;
use crate::model::version::Facts;
use crate::model::{Threshold, Unmet};

pub(super) const NOW: Time = Time::from_millis(1_800_000_000_000);
pub(super) const ADA: &str = "users/ada";
pub(super) const BOB: &str = "users/bob";

pub(super) fn name() -> ModelName {
    "projects/p/models/m".parse().unwrap()
}

pub(super) fn event(change: Change) -> Event {
    Event { model: name(), change }
}

pub(super) fn created() -> Event {
    event(Change::Created { display_name: "m".into(), description: String::new(), tags: BTreeMap::new() })
}

pub(super) fn create() -> Command {
    Command::Create { name: name(), display_name: "m".into(), description: String::new(), tags: BTreeMap::new() }
}

pub(super) fn numbered(versions: u32) -> Vec<Event> {
    let numbers =
        (1..=versions).map(|number| event(Change::Numbered { version: Number(number), request: String::new() }));
    [created()].into_iter().chain(numbers).collect()
}

pub(super) fn champion() -> Alias {
    "champion".parse().unwrap()
}

fn set_alias(version: u32, default: Option<Arc<Terms>>) -> Command {
    Command::SetAlias { alias: champion(), version: Number(version), default }
}

pub(super) fn moved(from: Option<u32>, to: u32) -> Event {
    event(Change::AliasMoved { alias: champion(), from: from.map(Number), to: Number(to) })
}

fn staged(version: u32, from: Stage, to: Stage) -> Event {
    event(Change::StageMoved { version: Number(version), from, to })
}

fn transition(version: u32, stage: Stage, archive_existing: bool) -> Command {
    Command::Transition { version: Number(version), stage, archive_existing, default: None }
}

/// The alias `champion` and the stage `Production` are protected; one manager must approve.
pub(super) fn strict() -> Arc<Terms> {
    Arc::new(Terms { aliases: [champion()].into(), stages: [Stage::Production].into(), ..Terms::default() })
}

pub(super) fn to_champion(version: u32) -> Vec<Move> {
    vec![Move { version: Number(version), target: Target::Alias(champion()) }]
}

fn request(moves: Vec<Move>, terms: &Arc<Terms>) -> Command {
    Command::Request {
        promotion: "1".into(),
        moves,
        requester: ADA.into(),
        comment: String::new(),
        default: Some(Arc::clone(terms)),
        roles_position: Position(50),
        now: NOW,
    }
}

pub(super) fn requested(moves: Vec<Move>, terms: &Arc<Terms>) -> Event {
    event(Change::Requested {
        promotion: "1".into(),
        moves,
        requester: ADA.into(),
        comment: String::new(),
        terms: Arc::clone(terms),
        roles_position: Position(50),
        request_time: NOW,
        expire_time: NOW.after(terms.lifetime),
    })
}

pub(super) fn manager(principal: &str, since: u64) -> Approver {
    Approver { principal: principal.into(), is_person: true, held: vec![("roles/manager".into(), Position(since))] }
}

fn approve(approver: Approver, terms: &Arc<Terms>, now: Time) -> Command {
    approve_with(Evidence::default(), approver, terms, now)
}

pub(super) fn approve_with(evidence: Evidence, approver: Approver, terms: &Arc<Terms>, now: Time) -> Command {
    let (promotion, comment) = ("1".into(), String::new());
    Command::Approve { promotion, approver, comment, evidence, default: Some(Arc::clone(terms)), now }
}

pub(super) fn complete(evidence: Evidence, terms: &Arc<Terms>, now: Time) -> Command {
    let (promotion, principal) = ("1".into(), ADA.into());
    Command::Complete { promotion, principal, evidence, default: Some(Arc::clone(terms)), now }
}

pub(super) fn approved(principal: &str, since: u64) -> Event {
    event(Change::Approved {
        promotion: "1".into(),
        approver: principal.into(),
        role: "roles/manager".into(),
        role_position: Position(since),
        comment: String::new(),
    })
}

fn completed(principal: &str) -> Event {
    event(Change::Completed { promotion: "1".into(), principal: principal.into(), signatures: vec![] })
}

fn protected(target: Target) -> Rejection {
    Rejection::Protected { model: name(), target }
}

#[test]
fn numbers_go_on_after_versions_and_even_the_model_were_deleted() {
    let number = Command::Number { versions_max: 10, request: String::new() };
    let delete = Command::Delete { principal: ADA.into(), default: None };
    given::<Model>(numbered(2))
        .when(Command::DeleteVersion { version: Number(2), default: None })
        .then([event(Change::VersionDeleted(Number(2)))])
        .when(number.clone())
        .then([event(Change::Numbered { version: Number(3), request: String::new() })])
        .when(delete)
        .then([event(Change::Deleted)])
        .when(number.clone())
        .rejected(Rejection::NotFound);
    let again = numbered(3).into_iter().chain([event(Change::Deleted), created()]);
    given::<Model>(again)
        .when(set_alias(3, None))
        .rejected(Rejection::VersionNotFound { model: name(), version: Number(3) });
    let again = numbered(3).into_iter().chain([event(Change::Deleted), created()]);
    given::<Model>(again).when(number).then([event(Change::Numbered { version: Number(4), request: String::new() })]);
    given::<Model>(numbered(2))
        .when(Command::Number { versions_max: 2, request: String::new() })
        .rejected(Rejection::Full { what: "versions", limit: 2 });
}

#[test]
fn a_model_is_registered_once_and_what_is_not_there_cannot_be_changed() {
    given::<Model>([]).when(create()).then([created()]);
    given::<Model>([created()]).when(create()).rejected(Rejection::Exists(name()));
    for command in
        [Command::Describe("x".into()), set_alias(1, None), Command::Number { versions_max: 9, request: String::new() }]
    {
        given::<Model>([]).when(command).rejected(Rejection::NotFound);
    }
}

#[test]
fn an_alias_points_at_one_version_and_goes_with_it() {
    let other: Alias = "shadow".parse().unwrap();
    let second = Command::SetAlias { alias: other.clone(), version: Number(2), default: None };
    given::<Model>(numbered(2))
        .when(set_alias(1, None))
        .then([moved(None, 1)])
        .when(set_alias(1, None))
        .nothing()
        .when(set_alias(2, None))
        .then([moved(Some(1), 2)])
        .when(second)
        .then([event(Change::AliasMoved { alias: other.clone(), from: None, to: Number(2) })])
        .when(Command::DeleteVersion { version: Number(2), default: None })
        .then([
            event(Change::AliasRemoved { alias: champion(), version: Number(2) }),
            event(Change::AliasRemoved { alias: other, version: Number(2) }),
            event(Change::VersionDeleted(Number(2))),
        ])
        .when(Command::RemoveAlias { alias: champion(), default: None })
        .nothing();
}

#[test]
fn a_version_goes_through_its_stages_and_takes_the_place_of_others_when_asked_to() {
    use Stage::{Archived, Production, Staging};
    given::<Model>(numbered(2))
        .when(transition(1, Staging, false))
        .then([staged(1, Stage::None, Staging)])
        .when(transition(1, Production, false))
        .then([staged(1, Staging, Production)])
        .when(transition(1, Production, true))
        .nothing()
        .when(transition(1, Stage::None, false))
        .rejected(Rejection::StageMove { version: Number(1), from: Production, to: Stage::None });
    given::<Model>(numbered(2).into_iter().chain([staged(1, Stage::None, Production)]))
        .when(transition(2, Production, true))
        .then([staged(2, Stage::None, Production), staged(1, Production, Archived)]);
    given::<Model>(numbered(2).into_iter().chain([staged(1, Stage::None, Production)]))
        .when(transition(2, Production, false))
        .then([staged(2, Stage::None, Production)])
        .when(transition(2, Production, true))
        .then([staged(1, Production, Archived)]);
}

#[test]
fn what_is_protected_is_moved_by_no_other_command() {
    let default = Some(strict());
    let held = || numbered(2).into_iter().chain([moved(None, 1), staged(1, Stage::None, Stage::Production)]);
    let alias = || protected(Target::Alias(champion()));
    let production = || protected(Target::Stage(Stage::Production));
    let stage = |version: u32, stage| Command::Transition {
        version: Number(version),
        stage,
        archive_existing: false,
        default: default.clone(),
    };
    for (command, rejection) in [
        (set_alias(2, default.clone()), alias()),
        (Command::RemoveAlias { alias: champion(), default: default.clone() }, alias()),
        (stage(2, Stage::Production), production()),
        (stage(1, Stage::Archived), production()),
        (Command::DeleteVersion { version: Number(1), default: default.clone() }, production()),
        (Command::Delete { principal: ADA.into(), default: default.clone() }, alias()),
        (Command::Rename { display_name: "n".into(), default: default.clone() }, alias()),
    ] {
        given::<Model>(held()).when(command).rejected(rejection);
    }
    // What changes nothing is not refused, and what is not protected moves.
    given::<Model>(held()).when(set_alias(1, default.clone())).nothing();
    given::<Model>(held()).when(stage(2, Stage::Staging)).then([staged(2, Stage::None, Stage::Staging)]);
}

#[test]
fn a_policy_of_the_model_counts_before_that_of_its_project_and_is_not_shed_by_deleting() {
    let own = event(Change::TermsSet { terms: strict(), is_relaxed: false });
    let loose = Some(Arc::new(Terms::default()));
    let again = numbered(1).into_iter().chain([
        own,
        event(Change::Deleted),
        created(),
        event(Change::Numbered { version: Number(2), request: String::new() }),
    ]);
    given::<Model>(again).when(set_alias(2, loose)).rejected(protected(Target::Alias(champion())));
    let set =
        |terms: Terms, may_relax| Command::SetTerms { terms: Arc::new(terms), default: Some(strict()), may_relax };
    given::<Model>(numbered(1)).when(set(Terms::default(), false)).rejected(Rejection::PolicyRelaxed);
    given::<Model>(numbered(1))
        .when(set(Terms::default(), true))
        .then([event(Change::TermsSet { terms: Arc::default(), is_relaxed: true })]);
    let two = Terms { approvals: 2, ..Terms::clone(&strict()) };
    given::<Model>(numbered(1))
        .when(set(two.clone(), false))
        .then([event(Change::TermsSet { terms: Arc::new(two), is_relaxed: false })]);
}

#[test]
fn with_the_approval_of_another_the_alias_moves_and_the_former_champion_is_archived_in_one_step() {
    let terms = strict();
    let history = || numbered(2).into_iter().chain([moved(None, 1), requested(to_champion(2), &terms)]);
    given::<Model>(numbered(2).into_iter().chain([moved(None, 1)]))
        .when(request(to_champion(2), &terms))
        .then([requested(to_champion(2), &terms)])
        .when(request(to_champion(2), &terms))
        .nothing();
    given::<Model>(history()).when(approve(manager(BOB, 50), &terms, NOW)).then([
        approved(BOB, 50),
        moved(Some(1), 2),
        staged(1, Stage::None, Stage::Archived),
        completed(BOB),
    ]);
}

#[test]
fn nobody_approves_their_own_wish_nor_by_a_role_they_were_given_later_or_do_not_have() {
    let terms = strict();
    let history = || numbered(2).into_iter().chain([requested(to_champion(2), &terms)]);
    let refused = |approver, rejection| {
        given::<Model>(history()).when(approve(approver, &terms, NOW)).rejected(rejection);
    };
    refused(manager(ADA, 1), Rejection::Own("1".into()));
    refused(manager(BOB, 51), Rejection::RoleTooRecent { principal: BOB.into(), role: "roles/manager".into() });
    let roles = ["roles/admin", "roles/approver", "roles/manager"].map(str::to_owned).to_vec();
    let editor = Approver { held: vec![("roles/editor".into(), Position(1))], ..manager(BOB, 1) };
    refused(editor, Rejection::RoleMissing { principal: BOB.into(), roles });
    let program = Approver { is_person: false, ..manager("serviceAccounts/ci", 1) };
    refused(program, Rejection::NotAPerson("serviceAccounts/ci".into()));
    // An older binding beside a newer one counts.
    let both = vec![("roles/admin".into(), Position(60)), ("roles/manager".into(), Position(50))];
    given::<Model>(history()).when(approve(Approver { held: both, ..manager(BOB, 1) }, &terms, NOW)).then([
        approved(BOB, 50),
        moved(None, 2),
        completed(BOB),
    ]);
}

#[test]
fn a_promotion_waits_for_every_condition_and_says_which_are_missing() {
    let calm = Duration::from_secs(60);
    let thresholds = vec![Threshold { metric: "auc".into(), min: Some(0.9), max: None }];
    let terms = Arc::new(Terms { approvals: 2, calm, thresholds, ..Terms::clone(&strict()) });
    let history = || numbered(2).into_iter().chain([requested(to_champion(2), &terms)]);
    let complete = |auc: f64, now: Time| {
        let facts = Facts { metrics: Arc::new([("auc".to_owned(), auc)].into()), ..Facts::default() };
        let facts = Arc::new([(Number(2), Arc::new(facts))].into());
        complete(Evidence { facts, ..Evidence::default() }, &terms, now)
    };
    let unmet = vec![
        Unmet::Approvals { have: 0, need: 2 },
        Unmet::Metric { version: Number(2), metric: "auc".into() },
        Unmet::CalmUntil(NOW.after(calm)),
    ];
    given::<Model>(history()).when(complete(0.8, NOW)).rejected(Rejection::Unmet { promotion: "1".into(), unmet });
    given::<Model>(history())
        .when(approve(manager(BOB, 1), &terms, NOW))
        .then([approved(BOB, 1)])
        .when(approve(manager(BOB, 1), &terms, NOW))
        .nothing()
        .when(approve(manager("users/eve", 2), &terms, NOW))
        .then([approved("users/eve", 2)])
        .when(complete(0.95, NOW.after(calm)))
        .then([moved(None, 2), completed(ADA)]);
}

#[test]
fn a_promotion_ends_once_by_rejection_withdrawal_or_time() {
    let terms = strict();
    let history = || numbered(2).into_iter().chain([requested(to_champion(2), &terms)]);
    let withdraw = |principal: &str| Command::Withdraw {
        promotion: "1".into(),
        principal: principal.into(),
        comment: String::new(),
        now: NOW,
    };
    let ended = |how| Rejection::Ended { promotion: "1".into(), how };
    given::<Model>(history()).when(withdraw(BOB)).rejected(Rejection::NotOwn("1".into()));
    given::<Model>(history())
        .when(withdraw(ADA))
        .then([event(Change::Withdrawn { promotion: "1".into(), principal: ADA.into(), comment: String::new() })])
        .when(approve(manager(BOB, 1), &terms, NOW))
        .rejected(ended(End::Withdrawn));
    given::<Model>(history())
        .when(approve(manager(BOB, 1), &terms, NOW.after(terms.lifetime)))
        .rejected(ended(End::Expired));
    given::<Model>(history())
        .when(Command::Reject { promotion: "1".into(), principal: BOB.into(), comment: "no".into(), now: NOW })
        .then([event(Change::Rejected { promotion: "1".into(), principal: BOB.into(), comment: "no".into() })])
        .when(approve(manager(BOB, 1), &terms, NOW))
        .rejected(ended(End::Rejected));
}

#[test]
fn another_policy_makes_an_open_promotion_void() {
    let (terms, later) = (strict(), Arc::new(Terms { approvals: 2, ..Terms::clone(&strict()) }));
    given::<Model>(numbered(2).into_iter().chain([requested(to_champion(2), &terms)]))
        .when(approve(manager(BOB, 1), &later, NOW))
        .rejected(Rejection::PolicyChanged("1".into()));
}

#[test]
fn several_versions_move_together_or_not_at_all() {
    let terms = strict();
    let shadow: Alias = "shadow".parse().unwrap();
    let swap = || {
        let alias = |version, alias: &Alias| Move { version: Number(version), target: Target::Alias(alias.clone()) };
        vec![alias(2, &champion()), alias(1, &shadow)]
    };
    let shadowed = event(Change::AliasMoved { alias: shadow.clone(), from: Some(Number(2)), to: Number(1) });
    let before = [moved(None, 1), event(Change::AliasMoved { alias: shadow.clone(), from: None, to: Number(2) })];
    let history = || numbered(3).into_iter().chain(before.clone()).chain([requested(swap(), &terms)]);
    // Neither is archived: both have their place.
    given::<Model>(history()).when(approve(manager(BOB, 1), &terms, NOW)).then([
        approved(BOB, 1),
        moved(Some(1), 2),
        shadowed,
        completed(BOB),
    ]);
    // One of them is deleted meanwhile: nothing moves.
    let gone = event(Change::VersionDeleted(Number(2)));
    given::<Model>(history().chain([gone])).when(approve(manager(BOB, 1), &terms, NOW)).then([approved(BOB, 1)]);
    for moves in [vec![], [swap(), to_champion(3)].concat()] {
        let state = Model::replay(&numbered(3));
        assert!(matches!(state.decide(request(moves, &terms)), Err(Rejection::Moves(_))));
    }
}

#[test]
fn who_does_without_a_promotion_leaves_an_event_that_says_so() {
    let bypass = Command::Bypass { moves: to_champion(2), principal: ADA.into(), justification: "outage".into() };
    let bypassed =
        event(Change::Bypassed { moves: to_champion(2), principal: ADA.into(), justification: "outage".into() });
    let own = event(Change::TermsSet { terms: strict(), is_relaxed: false });
    given::<Model>(numbered(2).into_iter().chain([moved(None, 1), own])).when(bypass).then([
        bypassed,
        moved(Some(1), 2),
        staged(1, Stage::None, Stage::Archived),
    ]);
}

#[test]
fn an_imported_version_keeps_its_number_and_those_left_out_are_never_given() {
    let number_as = |version| Command::NumberAs { version: Number(version), versions_max: 9, request: String::new() };
    let numbered_as = |version| event(Change::Numbered { version: Number(version), request: String::new() });
    let taken = |version, last| Rejection::NumberTaken { model: name(), version: Number(version), last: Number(last) };
    let gap = [created(), numbered_as(4)];
    given::<Model>([created()]).when(number_as(4)).then([numbered_as(4)]);
    given::<Model>(gap.clone()).when(number_as(4)).rejected(taken(4, 4));
    given::<Model>(gap.clone()).when(number_as(2)).rejected(taken(2, 4));
    given::<Model>(gap.clone()).when(number_as(10)).rejected(Rejection::Full { what: "versions", limit: 9 });
    let number = Command::Number { versions_max: 9, request: String::new() };
    given::<Model>(gap.clone()).when(number).then([numbered_as(5)]);
    let left_out = Rejection::VersionNotFound { model: name(), version: Number(2) };
    given::<Model>(gap.clone()).when(set_alias(2, None)).rejected(left_out);
    given::<Model>(gap).when(set_alias(4, None)).then([moved(None, 4)]);
}

#[test]
fn a_model_says_that_it_was_imported_once_it_is_there() {
    let origin = Origin { source: "http://mlflow".into(), create_time: Time::from_millis(5) };
    given::<Model>([created()]).when(Command::Import(origin.clone())).then([event(Change::Imported(origin.clone()))]);
    given::<Model>([]).when(Command::Import(origin)).rejected(Rejection::NotFound);
}
