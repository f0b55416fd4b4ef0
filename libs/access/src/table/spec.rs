use cairn_kernel::{Name, Position, Principal, PrincipalKind, Time};
use proptest::prelude::*;

use super::{Question, decide, visible};
use crate::{Change, Circumstances, Credential, Denial, Digest, Form, Grant, KeyRecord, Reach, Roles, Standing, World};

const NOW: Time = Time::from_micros(1_800_000_000_000_000);
const READ: &str = "experiments.runs.get";
const WRITE: &str = "experiments.runs.create";

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn user(id: &str) -> Principal {
    Principal { name: format!("users/{id}"), kind: PrincipalKind::User, credential: None, scopes: vec![] }
}

fn narrowed(id: &str, scopes: &[&str]) -> Principal {
    Principal { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), ..user(id) }
}

fn grant(binding: &str, role: &str, resource: &str) -> Grant {
    let role = Roles::built_in().find(role).cloned();
    Grant { binding: binding.into(), role, resource: name(resource), ..Grant::default() }
}

/// Projects `fraud` and `fraud2`, users `ada` and `bob`, and what they hold.
fn world(grants: &[(&str, Grant)]) -> World {
    let mut changes = vec![];
    for project in ["projects/fraud", "projects/fraud2"] {
        changes.push(Change::ProjectOpened { project: name(project) });
    }
    for principal in ["users/ada", "users/bob"] {
        changes.push(Change::PrincipalIs { principal: principal.into(), standing: Standing::Active });
    }
    changes.extend(
        grants.iter().map(|(user, grant)| Change::Granted { principal: format!("users/{user}"), grant: grant.clone() }),
    );
    after(World::default(), changes)
}

fn after(mut world: World, changes: impl IntoIterator<Item = Change>) -> World {
    for change in changes {
        let position = Position(world.policy().0 + 1);
        world.apply(change, position);
    }
    world
}

fn ask(world: &World, principal: &Principal, permission: &str, resource: &str) -> Result<Option<String>, Denial> {
    let resource = name(resource);
    decide(
        world,
        &Question {
            principal,
            permission,
            resource: &resource,
            reach: Reach::Exact,
            now: NOW,
            circumstances: Circumstances::default(),
        },
    )
}

fn somewhere(world: &World, principal: &Principal, permission: &str, resource: &str) -> Result<Option<String>, Denial> {
    let resource = name(resource);
    decide(
        world,
        &Question {
            principal,
            permission,
            resource: &resource,
            reach: Reach::Somewhere,
            now: NOW,
            circumstances: Circumstances::default(),
        },
    )
}

fn seen(world: &World, principal: &Principal, permission: &str, under: &str) -> Vec<String> {
    let resource = name(under);
    let question = Question {
        principal,
        permission,
        resource: &resource,
        reach: Reach::Somewhere,
        now: NOW,
        circumstances: Circumstances::default(),
    };
    visible(world, &question).iter().map(ToString::to_string).collect()
}

fn by(binding: &str) -> Result<Option<String>, Denial> {
    Ok(Some(binding.to_owned()))
}

#[test]
fn whoever_holds_nothing_may_do_nothing() {
    let world = world(&[]);
    for role in Roles::built_in().granted() {
        for permission in role.permissions() {
            let denied = ask(&world, &user("ada"), permission, "projects/fraud");
            assert_eq!(denied, Err(Denial::NotGranted), "{permission}");
        }
    }
}

#[test]
fn a_role_holds_on_its_resource_and_below_and_nowhere_else() {
    let world = world(&[("ada", grant("b", "roles/editor", "projects/fraud"))]);
    assert_eq!(ask(&world, &user("ada"), WRITE, "projects/fraud"), by("b"));
    assert_eq!(ask(&world, &user("ada"), WRITE, "projects/fraud/experiments/7/runs/r"), by("b"));
    assert_eq!(ask(&world, &user("ada"), WRITE, "projects/fraud2"), Err(Denial::NotGranted));
    assert_eq!(ask(&world, &user("ada"), WRITE, "*"), Err(Denial::NotGranted));
    assert_eq!(ask(&world, &user("bob"), WRITE, "projects/fraud"), Err(Denial::NotGranted));
}

#[test]
fn a_viewer_sees_and_an_editor_works() {
    let world = world(&[
        ("ada", grant("v", "roles/viewer", "projects/fraud")),
        ("bob", grant("e", "roles/editor", "projects/fraud")),
    ]);
    assert_eq!(ask(&world, &user("ada"), READ, "projects/fraud"), by("v"));
    assert_eq!(ask(&world, &user("ada"), WRITE, "projects/fraud"), Err(Denial::NotGranted));
    assert_eq!(ask(&world, &user("bob"), WRITE, "projects/fraud"), by("e"));
    assert_eq!(ask(&world, &user("bob"), "auth.bindings.grant", "projects/fraud"), Err(Denial::NotGranted));
}

#[test]
fn a_role_ends_with_its_time_and_with_its_withdrawal() {
    let ending = |end| Grant { expire_time: Some(end), ..grant("b", "roles/viewer", "projects/fraud") };
    let later = world(&[("ada", ending(Time::from_micros(NOW.micros() + 1)))]);
    assert_eq!(ask(&later, &user("ada"), READ, "projects/fraud"), by("b"));
    let now = world(&[("ada", ending(NOW))]);
    assert_eq!(ask(&now, &user("ada"), READ, "projects/fraud"), Err(Denial::NotGranted));
    let gone =
        Change::Withdrawn { principal: "users/ada".into(), resource: name("projects/fraud"), binding: "b".into() };
    assert_eq!(ask(&after(later, [gone]), &user("ada"), READ, "projects/fraud"), Err(Denial::NotGranted));
}

#[test]
fn who_was_disabled_and_is_let_in_again_logs_in_anew() {
    let given = |id: &str, expire_time: Option<Time>| {
        let credential =
            Credential { owner: "users/ada".into(), key: None, expire_time, is_revoked: false, login_time: None };
        Change::CredentialGiven { id: id.into(), credential, now: NOW }
    };
    let end = NOW.after(std::time::Duration::from_secs(60));
    let before = after(world(&[]), vec![given("session", Some(end)), given("rule", None)]);
    let holds = |world: &World, id: &str| world.holding(id, "users/ada", NOW).is_some();
    assert!(holds(&before, "session") && holds(&before, "rule"));
    let is = |standing: Standing| Change::PrincipalIs { principal: "users/ada".into(), standing };
    let again = after(before, vec![is(Standing::Disabled), is(Standing::Active)]);
    assert!(!holds(&again, "session") && holds(&again, "rule"));
}

#[test]
fn who_is_disabled_deleted_or_unknown_is_refused_whatever_they_hold() {
    let world = world(&[("ada", grant("b", "roles/admin", "*"))]);
    for standing in [Standing::Disabled, Standing::Deleted] {
        let changed = after(world.clone(), [Change::PrincipalIs { principal: "users/ada".into(), standing }]);
        assert_eq!(ask(&changed, &user("ada"), READ, "projects/fraud"), Err(Denial::PrincipalDisabled));
        assert_eq!(seen(&changed, &user("ada"), READ, "*"), Vec::<String>::new());
    }
    assert_eq!(ask(&world, &user("nobody"), READ, "projects/fraud"), Err(Denial::PrincipalDisabled));
    assert_eq!(ask(&world, &Principal::anonymous(), READ, "projects/fraud"), Err(Denial::PrincipalDisabled));
}

#[test]
fn nobody_works_in_a_project_that_is_deleted_or_was_never_there() {
    let world = world(&[("ada", grant("b", "roles/admin", "*"))]);
    assert_eq!(ask(&world, &user("ada"), READ, "projects/ghost"), Err(Denial::ProjectUnknown));
    let closed = after(world, [Change::ProjectClosed { project: name("projects/fraud") }]);
    assert_eq!(ask(&closed, &user("ada"), READ, "projects/fraud/experiments/7"), Err(Denial::ProjectDeleted));
    assert_eq!(ask(&closed, &user("ada"), "auth.projects.restore", "projects/fraud"), by("b"));
    let open = after(closed, [Change::ProjectOpened { project: name("projects/fraud") }]);
    assert_eq!(ask(&open, &user("ada"), READ, "projects/fraud/experiments/7"), by("b"));
}

#[test]
fn a_credential_is_narrowed_to_its_scopes() {
    let world = world(&[("ada", grant("b", "roles/admin", "*"))]);
    let caller = narrowed("ada", &["projects/fraud/experiments/7"]);
    assert_eq!(ask(&world, &caller, READ, "projects/fraud/experiments/7/runs/r"), by("b"));
    assert_eq!(ask(&world, &caller, READ, "projects/fraud"), Err(Denial::OutOfScope));
    assert_eq!(ask(&world, &caller, READ, "projects/fraud2"), Err(Denial::OutOfScope));
    assert_eq!(seen(&world, &caller, READ, "*"), ["projects/fraud/experiments/7"]);
    let wide = narrowed("bob", &["*"]);
    assert_eq!(ask(&world, &wide, READ, "projects/fraud"), Err(Denial::NotGranted), "a scope gives nothing");
    let unreadable = narrowed("ada", &["not a name"]);
    assert_eq!(ask(&world, &unreadable, READ, "projects/fraud"), Err(Denial::OutOfScope), "and loses nothing");
}

#[test]
fn a_key_is_narrowed_to_its_permissions_and_dies_when_revoked() {
    let record = KeyRecord {
        name: "users/ada/apiKeys/k".into(),
        owner: "users/ada".into(),
        digest: Digest { form: Form::Structured, bytes: vec![], pepper: String::new() },
        previous: None,
        rotate_time: None,
        scopes: vec![],
        permissions: vec![READ.into()],
        expire_time: None,
        is_revoked: false,
        is_bootstrap: false,
        is_used: false,
    };
    let world = world(&[("ada", grant("b", "roles/admin", "*")), ("bob", grant("c", "roles/admin", "*"))]);
    let world = after(world, [Change::KeyCreated { id: "k".into(), record }]);
    let with_key = |id: &str| Principal { credential: Some("k".into()), ..user(id) };
    assert_eq!(ask(&world, &with_key("ada"), READ, "projects/fraud"), by("b"));
    assert_eq!(ask(&world, &with_key("ada"), WRITE, "projects/fraud"), Err(Denial::OutOfScope));
    assert_eq!(ask(&world, &with_key("bob"), READ, "projects/fraud"), Err(Denial::PrincipalDisabled), "another's key");
    let revoked = after(world, [Change::KeyRevoked { id: "k".into() }]);
    assert_eq!(ask(&revoked, &with_key("ada"), READ, "projects/fraud"), Err(Denial::PrincipalDisabled));
}

#[test]
fn everybody_may_look_after_their_own_keys_and_nobody_elses() {
    let world = world(&[]);
    assert_eq!(ask(&world, &user("ada"), "auth.apiKeys.create", "users/ada"), Ok(None));
    assert_eq!(ask(&world, &user("ada"), "auth.apiKeys.revoke", "users/ada/apiKeys/k"), Ok(None));
    assert_eq!(ask(&world, &user("ada"), "auth.apiKeys.create", "users/bob"), Err(Denial::NotGranted));
    assert_eq!(ask(&world, &user("ada"), "auth.users.disable", "users/ada"), Err(Denial::NotGranted));
}

#[test]
fn a_list_is_allowed_to_whoever_can_see_any_of_it() {
    let world = world(&[("ada", grant("b", "roles/viewer", "projects/fraud/experiments/7"))]);
    assert_eq!(somewhere(&world, &user("ada"), READ, "projects/fraud"), by("b"));
    assert_eq!(somewhere(&world, &user("ada"), READ, "*"), by("b"));
    assert_eq!(somewhere(&world, &user("ada"), READ, "projects/fraud2"), Err(Denial::NotGranted));
    assert_eq!(ask(&world, &user("ada"), READ, "projects/fraud"), Err(Denial::NotGranted));
}

#[test]
fn what_a_list_may_show_is_told_once_and_as_widely_as_it_holds() {
    let world = world(&[
        ("ada", grant("a", "roles/viewer", "projects/fraud2/experiments/1")),
        ("ada", grant("b", "roles/viewer", "projects/fraud")),
        ("ada", grant("c", "roles/editor", "projects/fraud/experiments/7")),
    ]);
    assert_eq!(seen(&world, &user("ada"), READ, "*"), ["projects/fraud", "projects/fraud2/experiments/1"]);
    assert_eq!(seen(&world, &user("ada"), READ, "projects/fraud/experiments/7"), ["projects/fraud/experiments/7"]);
    assert_eq!(seen(&world, &user("ada"), READ, "projects/fraud2"), ["projects/fraud2/experiments/1"]);
    assert_eq!(seen(&world, &user("bob"), READ, "*"), Vec::<String>::new());
}

/// The same question, answered by looking at everything.
fn oracle(grants: &[Grant], scopes: &[Name], permission: &str, resource: &Name, reach: Reach) -> bool {
    let meets = |held: &Name| held.covers(resource) || (reach == Reach::Somewhere && resource.covers(held));
    grants.iter().filter(|grant| grant.is_current(NOW) && grant.holds(permission)).any(|grant| {
        if scopes.is_empty() {
            return meets(&grant.resource);
        }
        scopes.iter().any(|scope| {
            let both = [scope, &grant.resource];
            let narrow = both.into_iter().find(|one| both.iter().all(|other| other.covers(one)));
            narrow.is_some_and(meets)
        })
    })
}

fn resources() -> impl Strategy<Value = Name> {
    prop::sample::select(vec![
        "*",
        "projects/fraud",
        "projects/fraud2",
        "projects/fraud/experiments/7",
        "projects/fraud/experiments/70",
        "projects/fraud/experiments/7/runs/r",
        "projects/fraud-x/experiments/7",
        "models/m",
    ])
    .prop_map(name)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_table_answers_as_looking_at_everything_would(
        held in prop::collection::vec((prop::sample::select(vec![0_usize, 1, 2, 3]), resources(), any::<bool>()), 0..6),
        scopes in prop::collection::vec(resources(), 0..3),
        permission in prop::sample::select(vec![READ, WRITE]),
        resource in resources(),
        is_somewhere in any::<bool>(),
    ) {
        let roles = Roles::built_in().granted();
        let grants: Vec<Grant> = held.into_iter().enumerate().map(|(at, (role, resource, has_ended))| Grant {
            binding: format!("bindings/{at}"),
            role: Some(roles[role].clone()),
            resource,
            expire_time: has_ended.then_some(NOW),
            ..Grant::default()
        }).collect();
        let world = world(&grants.iter().map(|grant| ("ada", grant.clone())).collect::<Vec<_>>());
        let world = after(world, [Change::ProjectOpened { project: name("projects/fraud-x") }]);
        let texts: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        let caller = Principal { scopes: texts, ..user("ada") };
        let reach = if is_somewhere { Reach::Somewhere } else { Reach::Exact };
        let question = Question { principal: &caller, permission, resource: &resource, reach, now: NOW, circumstances: Circumstances::default() };
        let expected = oracle(&grants, &scopes, permission, &resource, reach);
        prop_assert_eq!(decide(&world, &question).is_ok(), expected);
        // A list shows something exactly when it is allowed, and only what is allowed.
        let shown = visible(&world, &question);
        prop_assert_eq!(!shown.is_empty(), oracle(&grants, &scopes, permission, &resource, Reach::Somewhere));
        for prefix in &shown {
            prop_assert!(oracle(&grants, &scopes, permission, prefix, Reach::Exact));
            prop_assert!(shown.iter().all(|other| other == prefix || !other.covers(prefix)));
        }
    }
}
