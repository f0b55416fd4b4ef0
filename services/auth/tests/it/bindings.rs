use cairn_contract::cairn::auth::v1 as proto;
use tonic::Code;
use tonic_types::StatusExt;

use crate::suite::{Suite, reason};

fn grant(resource: &str, principal: &str, role: &str) -> proto::GrantRoleRequest {
    proto::GrantRoleRequest {
        resource: resource.into(),
        principal: principal.into(),
        role: role.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_manager_gives_roles_in_their_project_and_none_they_do_not_hold() {
    let suite = Suite::begun().await;
    let manager = suite.user(Some(("roles/manager", "projects/default"))).await;
    let ada = suite.user(None).await;
    let given = grant("projects/default", &ada, "roles/editor");
    let binding = suite.access().grant_role(suite.by_user(&manager, given)).await.unwrap().into_inner();
    assert!(binding.name.starts_with("projects/default/bindings/"), "{}", binding.name);
    assert_eq!(binding.creator, manager);

    let wide = grant("projects/default", &ada, "roles/admin");
    let refused = suite.access().grant_role(suite.by_user(&manager, wide)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "GRANT_TOO_WIDE"));
    let by_editor = grant("projects/default", &manager, "roles/viewer");
    let refused = suite.access().grant_role(suite.by_user(&ada, by_editor)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ACCESS_DENIED"));
    let everywhere = proto::Binding {
        principal: ada.clone(),
        role: "roles/viewer".into(),
        resource: "*".into(),
        ..Default::default()
    };
    let everywhere = proto::CreateBindingRequest { binding: Some(everywhere), request_id: String::new() };
    let refused = suite.access().create_binding(suite.by_user(&manager, everywhere)).await.unwrap_err();
    assert_eq!(reason(&refused), "ACCESS_DENIED");

    let list = proto::ListBindingsRequest::default();
    let seen = suite.access().list_bindings(suite.by_user(&manager, list)).await.unwrap().into_inner().bindings;
    assert!(seen.iter().all(|binding| binding.resource == "projects/default"), "{seen:?}");
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn taking_a_role_takes_effect_with_the_answer() {
    let suite = Suite::begun().await;
    let ada = suite.user(None).await;
    let binding = suite.grant(&ada, "roles/viewer", "projects/default").await.unwrap();
    let get = || proto::GetProjectRequest { name: "projects/default".into(), ..Default::default() };
    assert!(suite.projects().get_project(suite.by_user(&ada, get())).await.is_ok());
    let delete = || proto::DeleteBindingRequest { name: binding.name.clone(), ..Default::default() };
    let gone = suite.access().delete_binding(suite.by_admin(delete())).await.unwrap().into_inner();
    assert!(gone.delete_time.is_some());
    let refused = suite.projects().get_project(suite.by_user(&ada, get())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(suite.access().delete_binding(suite.by_admin(delete())).await.is_ok(), "again, it changes nothing");
    assert_eq!(suite.events("RoleWithdrawn").await.len(), 1);
}

#[tokio::test]
async fn the_last_administrator_stays_whichever_way_they_are_to_go() {
    let suite = Suite::begun().await;
    let binding = proto::DeleteBindingRequest { name: "bindings/bootstrap".into(), ..Default::default() };
    let disable = proto::DisableUserRequest { name: "users/admin".into(), ..Default::default() };
    let delete = proto::DeleteUserRequest { name: "users/admin".into(), ..Default::default() };
    let refusals = [
        suite.access().delete_binding(suite.by_admin(binding.clone())).await.unwrap_err(),
        suite.users().disable_user(suite.by_admin(disable)).await.unwrap_err(),
        suite.users().delete_user(suite.by_admin(delete)).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "LAST_ADMINISTRATOR"));
    }
    suite.user(Some(("roles/admin", "*"))).await;
    assert!(suite.access().delete_binding(suite.by_admin(binding)).await.is_ok(), "there is another one");
}

#[tokio::test]
async fn of_two_administrators_who_remove_each_other_at_once_one_stays() {
    let suite = Suite::begun().await;
    let (ada, bob) = (suite.user(None).await, suite.user(None).await);
    let first = suite.grant(&ada, "roles/admin", "*").await.unwrap().name;
    let second = suite.grant(&bob, "roles/admin", "*").await.unwrap().name;
    let bootstrap = proto::DeleteBindingRequest { name: "bindings/bootstrap".into(), ..Default::default() };
    suite.access().delete_binding(suite.by_admin(bootstrap)).await.unwrap();
    let remove = |name: &str| proto::DeleteBindingRequest { name: name.to_owned(), ..Default::default() };
    let (mut one, mut other) = (suite.access(), suite.access());
    let (by_ada, by_bob) = (suite.by_user(&ada, remove(&second)), suite.by_user(&bob, remove(&first)));
    let outcomes = tokio::join!(one.delete_binding(by_ada), other.delete_binding(by_bob));
    assert_eq!(usize::from(outcomes.0.is_ok()) + usize::from(outcomes.1.is_ok()), 1, "{outcomes:?}");
}

#[tokio::test]
async fn a_check_answers_as_a_decision_would_and_says_why() {
    let suite = Suite::begun().await;
    let ada = suite.user(None).await;
    let binding = suite.grant(&ada, "roles/viewer", "projects/default").await.unwrap().name;
    let check = async |permission: &str, resource: &str| {
        let request = proto::CheckPermissionRequest {
            principal: ada.clone(),
            permission: permission.into(),
            resource: resource.into(),
            ..Default::default()
        };
        suite.access().check_permission(suite.by_admin(request)).await.unwrap().into_inner()
    };
    let allowed = check("experiments.runs.get", "projects/default/experiments/1").await;
    assert!(allowed.allowed);
    assert_eq!(allowed.binding, binding);
    let refused = check("experiments.runs.create", "projects/default").await;
    assert!(!refused.allowed);
    assert_eq!(refused.denial(), proto::check_permission_response::Denial::NotGranted);
    let grant = &refused.grants[0];
    assert_eq!((grant.holds_permission, grant.covers_resource, grant.expired), (false, true, false));
    let unknown = check("experiments.runs.get", "projects/ghost").await;
    assert_eq!(unknown.denial(), proto::check_permission_response::Denial::ProjectClosed);

    let request = proto::CheckPermissionRequest { permission: "x".into(), resource: "*".into(), ..Default::default() };
    let nosy = suite.access().check_permission(suite.by_user(&ada, request)).await.unwrap_err();
    assert_eq!(nosy.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_refusal_is_explained_from_what_it_rested_on_to_those_who_manage_the_resource() {
    let suite = Suite::begun().await;
    let ada = suite.user(Some(("roles/viewer", "projects/default"))).await;
    let manager = suite.user(Some(("roles/manager", "projects/default"))).await;
    let update = proto::UpdateProjectRequest {
        project: Some(proto::Project { name: "projects/default".into(), title: "mine".into(), ..Default::default() }),
        ..Default::default()
    };
    let refused = suite.projects().update_project(suite.by_user(&ada, update)).await.unwrap_err();
    let id = refused.get_details_error_info().unwrap().metadata["decision_id"].clone();
    // What happens afterwards changes nothing of what it rested on.
    suite.grant(&ada, "roles/manager", "projects/default").await.unwrap();
    let ask = |name: &str| proto::ExplainDecisionRequest { name: name.to_owned() };
    let name = format!("decisions/{id}");
    let told = suite.access().explain_decision(suite.by_user(&manager, ask(&name))).await.unwrap().into_inner();
    assert_eq!((&told.name, &told.principal), (&name, &ada));
    assert_eq!((told.permission.as_str(), told.resource.as_str()), ("auth.projects.update", "projects/default"));
    assert_eq!(told.method, "/cairn.auth.v1.ProjectService/UpdateProject");
    assert_eq!(told.denial(), proto::check_permission_response::Denial::NotGranted);
    let [grant] = told.grants.as_slice() else { panic!("{told:?}") };
    assert_eq!((grant.role.as_str(), grant.resource.as_str()), ("roles/viewer", "projects/default"));
    assert_eq!((grant.holds_permission, grant.covers_resource, grant.expired), (false, true, false));
    assert!(told.policy_position.parse::<u64>().unwrap() < told.position.parse().unwrap());

    let other = suite.user(Some(("roles/viewer", "projects/default"))).await;
    let nosy = suite.access().explain_decision(suite.by_user(&other, ask(&name))).await.unwrap_err();
    assert_eq!(reason(&nosy), "ACCESS_DENIED");
    // Whoever manages something else cannot tell it from one that is not there.
    suite.open("elsewhere").await;
    let elsewhere = suite.user(Some(("roles/manager", "projects/elsewhere"))).await;
    for name in [name.as_str(), "decisions/none"] {
        let refused = suite.access().explain_decision(suite.by_user(&elsewhere, ask(name))).await.unwrap_err();
        assert_eq!(reason(&refused), "DECISION_NOT_FOUND");
    }
}
