use super::*;
use crate::{ProjectQuota, Roles};

const ADA: &str = "users/ada";

fn given(world: &mut World, binding: &str, role: &str, resource: &str, at: u64) {
    let role = Roles::built_in().find(role).cloned();
    let grant = Grant { binding: binding.into(), role, resource: resource.parse().unwrap(), ..Grant::default() };
    world.apply(Change::Granted { principal: ADA.into(), grant }, Position(at));
}

#[test]
fn a_role_is_held_since_its_binding_was_given_and_no_longer_than_that() {
    let mut world = World::default();
    world.apply(Change::PrincipalIs { principal: ADA.into(), standing: Standing::Active }, Position(1));
    given(&mut world, "bindings/1", "roles/manager", "projects/p", 5);
    given(&mut world, "bindings/2", "roles/viewer", "projects/q", 6);
    let model: Name = "projects/p/models/m".parse().unwrap();
    let held = |world: &World| world.held(ADA, &model, Time::default());
    assert_eq!(held(&world), [("roles/manager".to_owned(), Position(5))]);
    // Lost and given again, it is held since then only.
    let (principal, resource) = (ADA.to_owned(), "projects/p".parse().unwrap());
    world.apply(Change::Withdrawn { principal, resource, binding: "bindings/1".into() }, Position(7));
    assert_eq!(held(&world), []);
    given(&mut world, "bindings/3", "roles/manager", "projects/p", 9);
    assert_eq!(held(&world), [("roles/manager".to_owned(), Position(9))]);
    world.apply(Change::PrincipalIs { principal: ADA.into(), standing: Standing::Disabled }, Position(10));
    assert_eq!(held(&world), []);
}

#[test]
fn a_project_may_take_up_what_was_said_last_and_others_are_not_limited() {
    let mut world = World::default();
    let (project, other): (Name, Name) = ("projects/p".parse().unwrap(), "projects/q".parse().unwrap());
    let set = |runs_max| Change::QuotaSet {
        project: "projects/p".parse().unwrap(),
        quota: ProjectQuota { runs_max, ..ProjectQuota::default() },
    };
    world.apply(set(Some(2)), Position(1));
    let before = world.clone();
    world.apply(set(Some(3)), Position(2));
    assert_eq!((before.quota(&project).runs_max, world.quota(&project).runs_max), (Some(2), Some(3)));
    assert_eq!(world.quota(&other), ProjectQuota::default());
    world.apply(set(None), Position(3));
    assert_eq!(world.quota(&project), ProjectQuota::default());
}
