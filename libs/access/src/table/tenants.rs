//! Organizations, groups, denials, conditions and roles of organizations, as the table decides on them.

use std::sync::Arc;

use cairn_kernel::{Name, Position, Principal, PrincipalKind, Time};

use super::{Question, decide, visible};
use crate::{Change, Circumstances, Condition, Denial, Grant, Reach, Role, Roles, Standing, World};

/// A Tuesday noon.
const NOON: Time = Time::from_millis(1_788_264_000_000);
const READ: &str = "experiments.runs.get";
const WRITE: &str = "experiments.runs.create";

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn ada() -> Principal {
    Principal { name: "users/ada".into(), kind: PrincipalKind::User, credential: None, scopes: vec![] }
}

fn grant(binding: &str, role: &str, resource: &str) -> Grant {
    let built_in = Roles::built_in().find(role).cloned();
    Grant {
        binding: binding.into(),
        role: built_in,
        role_name: role.into(),
        resource: name(resource),
        ..Grant::default()
    }
}

fn denial(binding: &str, role: &str, resource: &str) -> Grant {
    Grant { denies: true, ..grant(binding, role, resource) }
}

fn on(condition: Condition, grant: Grant) -> Grant {
    Grant { condition: Some(Arc::new(condition)), ..grant }
}

fn given(holder: &str, grant: Grant) -> Change {
    Change::Granted { principal: holder.into(), grant }
}

/// Acme with projects `a1` and `a2` and an account, Beta with `b1`, and whatever else happened.
fn world(changes: impl IntoIterator<Item = Change>) -> World {
    let belongs = |project: &str, organization: &str| Change::ProjectCreated {
        project: name(project),
        organization: name(organization),
    };
    let mut all = vec![
        Change::OrganizationOpened { organization: name("organizations/acme") },
        Change::OrganizationOpened { organization: name("organizations/beta") },
        belongs("projects/a1", "organizations/acme"),
        belongs("projects/a2", "organizations/acme"),
        belongs("projects/b1", "organizations/beta"),
        Change::ProjectOpened { project: name("projects/old") },
        Change::AccountCreated { account: name("serviceAccounts/bot"), organization: Some(name("organizations/acme")) },
        Change::PrincipalIs { principal: "users/ada".into(), standing: Standing::Active },
    ];
    all.extend(changes);
    after(World::default(), all)
}

fn after(mut world: World, changes: impl IntoIterator<Item = Change>) -> World {
    for change in changes {
        let position = Position(world.policy().0 + 1);
        world.apply(change, position);
    }
    world
}

struct Asker<'a> {
    world: &'a World,
    from: Circumstances,
    now: Time,
}

impl Asker<'_> {
    fn ask(&self, permission: &str, resource: &str, reach: Reach) -> Result<Option<String>, Denial> {
        let (principal, resource) = (ada(), name(resource));
        let (now, circumstances) = (self.now, self.from);
        decide(
            self.world,
            &Question { principal: &principal, permission, resource: &resource, reach, now, circumstances },
        )
    }

    fn may(&self, permission: &str, resource: &str) -> bool {
        self.ask(permission, resource, Reach::Exact).is_ok()
    }

    fn sees(&self, permission: &str, under: &str) -> Vec<String> {
        let (principal, resource, reach) = (ada(), name(under), Reach::Somewhere);
        let (now, circumstances) = (self.now, self.from);
        let question = Question { principal: &principal, permission, resource: &resource, reach, now, circumstances };
        let shown: Vec<String> = visible(self.world, &question).iter().map(ToString::to_string).collect();
        assert_eq!(
            decide(self.world, &question).is_ok(),
            !shown.is_empty(),
            "a list is allowed when it shows something"
        );
        shown
    }
}

fn at_noon(world: &World) -> Asker<'_> {
    Asker { world, from: Circumstances::default(), now: NOON }
}

#[test]
fn a_role_on_an_organization_holds_on_what_belongs_to_it_and_reaches_no_other() {
    let world = world([given("users/ada", grant("b", "roles/org-admin", "organizations/acme"))]);
    let ada = at_noon(&world);
    for resource in ["organizations/acme", "organizations/acme/groups/g", "projects/a1", "projects/a2/models/m"] {
        assert!(ada.may("auth.bindings.grant", resource), "{resource}");
    }
    assert!(ada.may("auth.projects.create", "organizations/acme") && ada.may(WRITE, "projects/a1"));
    assert!(ada.may("auth.apiKeys.create", "serviceAccounts/bot/apiKeys/k"));
    for resource in ["organizations/beta", "projects/b1", "projects/old", "organizations/acme2", "*", "users/bob"] {
        assert!(!ada.may("auth.bindings.grant", resource), "{resource}");
    }
    assert_eq!(ada.sees(READ, "*"), ["organizations/acme", "projects/a1", "projects/a2", "serviceAccounts/bot"]);
    assert_eq!(ada.sees(READ, "projects/a1"), ["projects/a1"]);
    assert_eq!(ada.sees("auth.groups.list", "organizations/acme").len(), 4);
    assert_eq!(ada.sees("auth.groups.list", "organizations/beta"), [""; 0]);
}

#[test]
fn what_says_nothing_else_belongs_to_the_default_organization() {
    let world = world([given("users/ada", grant("b", "roles/viewer", "organizations/default"))]);
    assert!(at_noon(&world).may(READ, "projects/old"));
    assert!(!at_noon(&world).may(READ, "projects/a1"));
    assert_eq!(world.owner(&name("projects/old/runs/r")), Some(&name("organizations/default")));
    assert_eq!(world.owner(&name("projects/ghost")), None);
    let moved = after(
        world,
        [Change::ProjectCreated { project: name("projects/old"), organization: name("organizations/acme") }],
    );
    assert_eq!(moved.owner(&name("projects/old")), Some(&name("organizations/default")), "for ever");
}

#[test]
fn nobody_works_in_a_project_of_a_deleted_organization() {
    let closed = world([
        given("users/ada", grant("b", "roles/admin", "*")),
        Change::OrganizationClosed { organization: name("organizations/acme") },
    ]);
    assert_eq!(at_noon(&closed).ask(READ, "projects/a1", Reach::Exact), Err(Denial::ProjectDeleted));
    assert!(at_noon(&closed).may("auth.organizations.restore", "organizations/acme"));
    assert!(at_noon(&closed).may(READ, "projects/b1"));
    let open = after(closed, [Change::OrganizationOpened { organization: name("organizations/acme") }]);
    assert!(at_noon(&open).may(READ, "projects/a1"));
}

fn members(group: &str, members: &[&str]) -> Change {
    let members = members.iter().map(|member| (*member).to_owned()).collect();
    Change::MembersAdded { group: group.into(), members }
}

#[test]
fn a_member_holds_what_the_group_and_the_group_around_it_hold_and_nothing_once_out() {
    let (inner, outer) = ("organizations/acme/groups/inner", "organizations/acme/groups/outer");
    let world = world([
        Change::GroupCreated { group: inner.into() },
        Change::GroupCreated { group: outer.into() },
        given(inner, grant("i", "roles/viewer", "projects/a1")),
        given(outer, grant("o", "roles/viewer", "projects/a2")),
        members(outer, &[inner]),
        members(inner, &["users/ada"]),
    ]);
    let by = |binding: &str| Ok(Some(binding.to_owned()));
    assert_eq!(at_noon(&world).ask(READ, "projects/a1", Reach::Exact), by("i"));
    assert_eq!(at_noon(&world).ask(READ, "projects/a2", Reach::Exact), by("o"));
    assert_eq!(at_noon(&world).sees(READ, "*"), ["projects/a1", "projects/a2"]);
    let held: Vec<String> =
        world.held("users/ada", &name("projects/a2"), NOON).into_iter().map(|(role, _)| role).collect();
    assert_eq!(held, ["roles/viewer"]);
    let gone = Change::MembersRemoved { group: inner.into(), members: vec!["users/ada".into()] };
    assert_eq!(at_noon(&after(world.clone(), [gone])).sees(READ, "*"), [""; 0]);
    let deleted = after(world, [Change::GroupDeleted { group: outer.into() }]);
    assert_eq!(at_noon(&deleted).sees(READ, "*"), ["projects/a1"]);
}

#[test]
fn a_role_through_a_group_counts_since_the_later_of_being_given_and_of_joining() {
    let group = "organizations/acme/groups/g";
    let world = world([
        Change::GroupCreated { group: group.into() },
        given(group, grant("b", "roles/manager", "projects/a1")),
        members(group, &["users/ada"]),
    ]);
    let joined = world.policy();
    assert_eq!(world.held("users/ada", &name("projects/a1"), NOON), [("roles/manager".to_owned(), joined)]);
}

#[test]
fn what_is_denied_counts_before_whatever_gives_it() {
    let world = world([
        given("users/ada", grant("g", "roles/admin", "*")),
        given("users/ada", denial("d", "roles/editor", "organizations/acme")),
    ]);
    let ada = at_noon(&world);
    assert_eq!(ada.ask(WRITE, "projects/a1", Reach::Exact), Err(Denial::Denied));
    assert_eq!(ada.ask(WRITE, "projects/a1", Reach::Somewhere), Err(Denial::Denied));
    assert!(ada.may(WRITE, "projects/b1") && ada.may("registry.promotions.approve", "projects/a1"));
    // Told one by one, since not all of it is given.
    let seen = ada.sees(READ, "*");
    assert!(seen.contains(&"projects/b1".to_owned()) && seen.contains(&"projects/old".to_owned()), "{seen:?}");
    assert!(!seen.iter().any(|name| name == "*" || name.starts_with("projects/a")), "{seen:?}");
    assert_eq!(ada.sees(READ, "projects/a1"), [""; 0]);
    let lifted =
        Change::Withdrawn { principal: "users/ada".into(), resource: name("organizations/acme"), binding: "d".into() };
    assert!(at_noon(&after(world, [lifted])).may(WRITE, "projects/a1"));
}

#[test]
fn a_denial_ends_with_its_time_reaches_through_groups_and_never_locks_out_who_could_lift_it() {
    let group = "organizations/acme/groups/g";
    let ended = Grant { expire_time: Some(NOON), ..denial("d", "roles/admin", "*") };
    let over = world([given("users/ada", grant("g", "roles/admin", "*")), given("users/ada", ended)]);
    assert!(at_noon(&over).may(WRITE, "projects/a1"));
    let through = world([
        given("users/ada", grant("g", "roles/admin", "*")),
        Change::GroupCreated { group: group.into() },
        members(group, &["users/ada"]),
        given(group, denial("d", "roles/admin", "*")),
    ]);
    let ada = at_noon(&through);
    assert!(!ada.may(WRITE, "projects/a1") && !ada.may("auth.users.create", "*"));
    assert!(ada.may("auth.bindings.delete", "bindings/d") && ada.may("auth.bindings.list", "*"));
}

#[test]
fn a_condition_that_is_not_met_gives_nothing_and_one_that_may_be_met_takes() {
    let inside = Condition { networks: vec!["10.0.0.0/8".parse().unwrap()], ..Condition::default() };
    let world = world([
        given("users/ada", on(inside.clone(), grant("g", "roles/viewer", "projects/a1"))),
        given("users/ada", grant("h", "roles/viewer", "projects/a2")),
        given("users/ada", on(inside, denial("d", "roles/viewer", "projects/a2"))),
    ]);
    let from = |address| Asker { world: &world, from: Circumstances::from_source(address), now: NOON };
    assert_eq!(from(Some("10.1.1.1")).sees(READ, "*"), ["projects/a1"]);
    assert_eq!(from(Some("192.0.2.1")).sees(READ, "*"), ["projects/a2"]);
    assert_eq!(from(None).sees(READ, "*"), [""; 0], "nothing is known, so nothing is given");
}

#[test]
fn a_condition_on_tags_is_about_the_project_that_the_resource_lies_in() {
    let tagged =
        |tier: &str| Condition { project_tags: [("tier".to_owned(), tier.to_owned())].into(), ..Condition::default() };
    let tag = |project: &str, tier: &str| Change::ProjectTagged {
        project: name(project),
        tags: [("tier".to_owned(), tier.to_owned())].into(),
    };
    let world = world([
        tag("projects/a1", "test"),
        tag("projects/a2", "prod"),
        given("users/ada", on(tagged("test"), grant("g", "roles/editor", "*"))),
        given("users/ada", grant("v", "roles/viewer", "organizations/acme")),
        given("users/ada", on(tagged("prod"), denial("d", "roles/viewer", "organizations/acme"))),
    ]);
    let ada = at_noon(&world);
    assert!(ada.may(WRITE, "projects/a1/models/m"));
    assert!(!ada.may(WRITE, "projects/a2") && !ada.may(WRITE, "projects/b1") && !ada.may(WRITE, "*"));
    assert_eq!(ada.sees(WRITE, "*"), ["projects/a1"]);
    assert_eq!(ada.sees(READ, "*"), ["projects/a1"], "production is denied, and of the rest nothing is known");
    let retagged = after(world, [tag("projects/a1", "prod")]);
    assert!(!at_noon(&retagged).may(WRITE, "projects/a1"));
}

#[test]
fn a_binding_holds_not_before_its_time_and_within_its_hours() {
    let later = Condition { start_time: Some(Time::from_micros(NOON.micros() + 1)), ..Condition::default() };
    let office = crate::Window { days: vec![1, 2, 3, 4, 5], start: 8 * 60, end: 18 * 60 };
    let hours = Condition { windows: vec![office], ..Condition::default() };
    let world = world([
        given("users/ada", on(later, grant("a", "roles/viewer", "projects/a1"))),
        given("users/ada", on(hours, grant("b", "roles/viewer", "projects/a2"))),
    ]);
    assert_eq!(at_noon(&world).sees(READ, "*"), ["projects/a2"]);
    let night =
        Asker { world: &world, from: Circumstances::default(), now: NOON.after(std::time::Duration::from_hours(8)) };
    assert_eq!(night.sees(READ, "*"), ["projects/a1"]);
}

#[test]
fn a_role_of_an_organization_means_what_it_was_last_said_to_mean() {
    let role = "organizations/acme/roles/reader";
    let means = |words: &[&str]| Change::RoleDefined {
        role: Role::new(role.into(), String::new(), words.iter().map(|word| (*word).to_owned()).collect()),
    };
    let world = world([means(&[READ]), given("users/ada", grant("b", role, "projects/a1"))]);
    assert!(at_noon(&world).may(READ, "projects/a1") && !at_noon(&world).may(WRITE, "projects/a1"));
    let wider = after(world, [means(&[READ, WRITE, "experiments.runs.paint"])]);
    assert!(at_noon(&wider).may(WRITE, "projects/a1"));
    let unknown: Vec<_> = wider.role(role).unwrap().unknown_permissions().collect();
    assert_eq!(unknown, ["experiments.runs.paint"], "a word that means nothing is told");
    let gone = after(wider, [Change::RoleRemoved { role: role.into() }]);
    assert!(!at_noon(&gone).may(READ, "projects/a1"));
    assert_eq!(gone.bindings_of(role).count(), 1, "what is left of it is found");
}

#[test]
fn a_credential_narrowed_to_an_organization_leaves_what_belongs_to_it() {
    let world = world([given("users/ada", grant("b", "roles/admin", "*"))]);
    let caller = Principal { scopes: vec!["organizations/acme".into()], ..ada() };
    let may = |resource: &str| {
        let (resource, reach, circumstances) = (name(resource), Reach::Exact, Circumstances::default());
        let question =
            Question { principal: &caller, permission: READ, resource: &resource, reach, now: NOON, circumstances };
        decide(&world, &question)
    };
    assert!(may("projects/a1/runs/r").is_ok());
    assert_eq!(may("projects/b1"), Err(Denial::OutOfScope));
}
