use cairn_contract::cairn::auth::v1 as proto;
use tonic::{Code, Status};

use crate::suite::{Suite, reason};

impl Suite {
    /// An organization with a project of its own, and somebody who administers it.
    async fn organization(&self, id: &str) -> String {
        let request = proto::CreateOrganizationRequest { organization_id: id.into(), ..Default::default() };
        self.organizations().create_organization(self.by_admin(request)).await.unwrap();
        self.project("users/admin", &format!("{id}-1"), &format!("organizations/{id}")).await.unwrap();
        self.user(Some(("roles/org-admin", &format!("organizations/{id}")))).await
    }

    async fn project(&self, by: &str, id: &str, parent: &str) -> Result<proto::Project, Status> {
        let request =
            proto::CreateProjectRequest { project_id: id.into(), parent: parent.into(), ..Default::default() };
        Ok(self.projects().create_project(self.by_user(by, request)).await?.into_inner())
    }

    async fn give(&self, by: &str, principal: &str, role: &str, resource: &str) -> Result<proto::Binding, Status> {
        let request = proto::GrantRoleRequest {
            resource: resource.into(),
            principal: principal.into(),
            role: role.into(),
            ..Default::default()
        };
        Ok(self.access().grant_role(self.by_user(by, request)).await?.into_inner())
    }

    async fn group(&self, by: &str, parent: &str, id: &str) -> Result<String, Status> {
        let request = proto::CreateGroupRequest { parent: parent.into(), group_id: id.into(), ..Default::default() };
        Ok(self.groups().create_group(self.by_user(by, request)).await?.into_inner().name)
    }

    async fn join(&self, by: &str, group: &str, member: &str) -> Result<proto::Group, Status> {
        let members = vec![member.to_owned()];
        let request = proto::AddGroupMembersRequest { name: group.into(), members, ..Default::default() };
        Ok(self.groups().add_group_members(self.by_user(by, request)).await?.into_inner())
    }

    async fn leave(&self, by: &str, group: &str, member: &str) -> Result<proto::Group, Status> {
        let members = vec![member.to_owned()];
        let request = proto::RemoveGroupMembersRequest { name: group.into(), members, ..Default::default() };
        Ok(self.groups().remove_group_members(self.by_user(by, request)).await?.into_inner())
    }

    async fn role(&self, by: &str, parent: &str, id: &str, words: &[&str]) -> Result<proto::Role, Status> {
        let permissions = words.iter().map(|word| (*word).to_owned()).collect();
        let role = proto::Role { permissions, ..Default::default() };
        let request = proto::CreateRoleRequest {
            parent: parent.into(),
            role_id: id.into(),
            role: Some(role),
            ..Default::default()
        };
        Ok(self.roles().create_role(self.by_user(by, request)).await?.into_inner())
    }

    /// Whether somebody may see a project.
    async fn may_see(&self, who: &str, project: &str) -> bool {
        let get = proto::GetProjectRequest { name: project.into(), ..Default::default() };
        self.projects().get_project(self.by_user(who, get)).await.is_ok()
    }

    async fn seen_projects(&self, who: &str, parent: &str) -> Vec<String> {
        let list = proto::ListProjectsRequest { parent: parent.into(), ..Default::default() };
        let list = self.projects().list_projects(self.by_user(who, list)).await;
        list.map(|answer| answer.into_inner().projects.into_iter().map(|project| project.name).collect())
            .unwrap_or_default()
    }
}

fn told(refused: &Status) -> (Code, String) {
    (refused.code(), reason(refused))
}

#[tokio::test]
async fn an_organizations_administrator_rules_in_it_and_reaches_no_other() {
    let suite = Suite::begun().await;
    let (acme, beta) = (suite.organization("acme").await, suite.organization("beta").await);
    let made = suite.project(&acme, "acme-2", "organizations/acme").await.unwrap();
    assert_eq!(made.organization, "organizations/acme");
    assert_eq!(suite.seen_projects(&acme, "").await, ["projects/acme-1", "projects/acme-2"]);
    assert_eq!(suite.seen_projects(&beta, "").await, ["projects/beta-1"]);
    assert_eq!(suite.seen_projects("users/admin", "organizations/acme").await, ["projects/acme-1", "projects/acme-2"]);
    assert_eq!(suite.seen_projects(&beta, "organizations/acme").await, [""; 0]);

    let ada = suite.user(None).await;
    suite.give(&acme, &ada, "roles/editor", "projects/acme-1").await.unwrap();
    suite.give(&acme, &ada, "roles/viewer", "organizations/acme").await.unwrap();
    assert!(suite.may_see(&ada, "projects/acme-2").await && !suite.may_see(&ada, "projects/beta-1").await);
    let account = proto::CreateServiceAccountRequest {
        parent: "organizations/acme".into(),
        service_account_id: "acme-bot".into(),
        ..Default::default()
    };
    let account = suite.accounts().create_service_account(suite.by_user(&acme, account)).await.unwrap().into_inner();
    assert_eq!(account.organization, "organizations/acme");

    let denied = (Code::PermissionDenied, "ACCESS_DENIED".to_owned());
    for (by, parent) in
        [(&acme, "organizations/beta"), (&acme, ""), (&beta, "organizations/acme"), (&ada, "organizations/acme")]
    {
        let refused = suite.project(by, "stray", parent).await.unwrap_err();
        assert_eq!(told(&refused), denied, "{by} in {parent:?}");
    }
    for resource in ["projects/beta-1", "organizations/beta", "projects/default"] {
        let refused = suite.give(&acme, &ada, "roles/viewer", resource).await.unwrap_err();
        assert_eq!(told(&refused), denied, "{resource}");
    }
    let wide = suite.give(&acme, &ada, "roles/admin", "projects/acme-1").await.unwrap_err();
    assert_eq!(told(&wide), (Code::PermissionDenied, "GRANT_TOO_WIDE".into()));
    let get = proto::GetServiceAccountRequest { name: "serviceAccounts/acme-bot".into(), ..Default::default() };
    assert!(suite.accounts().get_service_account(suite.by_user(&beta, get)).await.is_err());
    let list = proto::ListOrganizationsRequest::default();
    let seen = suite.organizations().list_organizations(suite.by_user(&acme, list)).await.unwrap().into_inner();
    assert_eq!(seen.organizations.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["organizations/acme"]);
    let bindings = proto::ListBindingsRequest::default();
    let seen = suite.access().list_bindings(suite.by_user(&acme, bindings)).await.unwrap().into_inner().bindings;
    assert!(seen.iter().all(|binding| binding.name.contains("acme")), "{seen:?}");
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn an_account_is_no_way_into_what_its_administrator_does_not_hold() {
    let suite = Suite::begun().await;
    let (acme, _) = (suite.organization("acme").await, suite.organization("beta").await);
    let account = proto::CreateServiceAccountRequest {
        parent: "organizations/acme".into(),
        service_account_id: "bot".into(),
        ..Default::default()
    };
    suite.accounts().create_service_account(suite.by_user(&acme, account)).await.unwrap();
    let key = || proto::CreateApiKeyRequest { parent: "serviceAccounts/bot".into(), ..Default::default() };
    assert!(suite.keys().create_api_key(suite.by_user(&acme, key())).await.is_ok());
    // Somebody else gave it a role elsewhere: whoever has a key of it now would have that role.
    suite.grant("serviceAccounts/bot", "roles/viewer", "projects/beta-1").await.unwrap();
    let refused = suite.keys().create_api_key(suite.by_user(&acme, key())).await.unwrap_err();
    assert_eq!(told(&refused), (Code::PermissionDenied, "GRANT_TOO_WIDE".into()));
    assert!(suite.keys().create_api_key(suite.by_admin(key())).await.is_ok());
}

#[tokio::test]
async fn an_organization_goes_when_it_has_no_open_projects_and_comes_back_as_it_was() {
    let suite = Suite::begun().await;
    let acme = suite.organization("acme").await;
    let delete = |name: &str| proto::DeleteOrganizationRequest { name: name.into(), ..Default::default() };
    let refused = suite.organizations().delete_organization(suite.by_admin(delete("organizations/acme"))).await;
    assert_eq!(told(&refused.unwrap_err()), (Code::FailedPrecondition, "ORGANIZATION_NOT_EMPTY".into()));
    let refused = suite.organizations().delete_organization(suite.by_admin(delete("organizations/default"))).await;
    assert_eq!(told(&refused.unwrap_err()), (Code::FailedPrecondition, "ORGANIZATION_NEEDED".into()));
    let project = proto::DeleteProjectRequest { name: "projects/acme-1".into(), ..Default::default() };
    suite.projects().delete_project(suite.by_user(&acme, project)).await.unwrap();
    let gone = suite.organizations().delete_organization(suite.by_admin(delete("organizations/acme"))).await.unwrap();
    assert_eq!(gone.into_inner().state(), proto::organization::State::Deleted);
    let refused = suite.project(&acme, "acme-2", "organizations/acme").await.unwrap_err();
    assert_eq!(told(&refused), (Code::FailedPrecondition, "ORGANIZATION_DELETED".into()));
    let refused = suite.give(&acme, &acme, "roles/viewer", "organizations/acme").await.unwrap_err();
    assert_eq!(reason(&refused), "ORGANIZATION_DELETED");
    let restore = proto::RestoreOrganizationRequest { name: "organizations/acme".into(), ..Default::default() };
    suite.organizations().restore_organization(suite.by_admin(restore)).await.unwrap();
    assert!(suite.project(&acme, "acme-2", "organizations/acme").await.is_ok());
    let unknown = suite.project("users/admin", "stray", "organizations/none").await.unwrap_err();
    assert_eq!(told(&unknown), (Code::NotFound, "ORGANIZATION_NOT_FOUND".into()));
}

#[tokio::test]
async fn the_default_organization_is_listed_and_described_though_nobody_created_it() {
    let suite = Suite::begun().await;
    let get = || proto::GetOrganizationRequest { name: "organizations/default".into(), ..Default::default() };
    let found = suite.organizations().get_organization(suite.by_admin(get())).await.unwrap().into_inner();
    assert_eq!((found.create_time, found.etag.as_str()), (None, ""));
    let renamed =
        proto::Organization { name: "organizations/default".into(), title: "Ours".into(), ..Default::default() };
    let update = proto::UpdateOrganizationRequest { organization: Some(renamed), ..Default::default() };
    suite.organizations().update_organization(suite.by_admin(update)).await.unwrap();
    let found = suite.organizations().get_organization(suite.by_admin(get())).await.unwrap().into_inner();
    assert_eq!(found.title, "Ours");
    let list = proto::ListOrganizationsRequest::default();
    let seen = suite.organizations().list_organizations(suite.by_admin(list)).await.unwrap().into_inner();
    assert_eq!(seen.organizations, [found]);
    let project = suite.project("users/admin", "plain", "").await.unwrap();
    assert_eq!(project.organization, "organizations/default");
}

#[tokio::test]
async fn who_leaves_a_group_loses_with_the_answer_what_it_gave() {
    let suite = Suite::begun().await;
    let acme = suite.organization("acme").await;
    let ada = suite.user(None).await;
    let outer = suite.group(&acme, "organizations/acme", "outer").await.unwrap();
    let inner = suite.group(&acme, "organizations/acme", "inner").await.unwrap();
    suite.give(&acme, &outer, "roles/viewer", "projects/acme-1").await.unwrap();
    suite.join(&acme, &outer, &inner).await.unwrap();
    assert!(!suite.may_see(&ada, "projects/acme-1").await);
    assert_eq!(suite.join(&acme, &inner, &ada).await.unwrap().member_count, 1);
    assert!(suite.may_see(&ada, "projects/acme-1").await, "through the group around the group");
    assert_eq!(suite.leave(&acme, &inner, &ada).await.unwrap().member_count, 0);
    assert!(!suite.may_see(&ada, "projects/acme-1").await);

    let members = proto::ListGroupMembersRequest { parent: outer.clone(), ..Default::default() };
    let listed = suite.groups().list_group_members(suite.by_user(&acme, members)).await.unwrap().into_inner();
    assert_eq!(listed.members, [inner.as_str()]);
    let of =
        proto::ListGroupsRequest { parent: "organizations/acme".into(), member: inner.clone(), ..Default::default() };
    let listed = suite.groups().list_groups(suite.by_user(&acme, of)).await.unwrap().into_inner().groups;
    assert_eq!(listed.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), [outer.as_str()]);
    let delete = proto::DeleteGroupRequest { name: outer.clone(), ..Default::default() };
    suite.groups().delete_group(suite.by_user(&acme, delete)).await.unwrap();
    let refused = suite.give(&acme, &outer, "roles/viewer", "projects/acme-1").await.unwrap_err();
    assert_eq!(reason(&refused), "GROUP_NOT_FOUND");
}

#[tokio::test]
async fn groups_nest_once_and_hold_only_who_is_there_and_of_their_organization() {
    let suite = Suite::begun().await;
    let (acme, beta) = (suite.organization("acme").await, suite.organization("beta").await);
    let [a, b, c] = ["aa", "bb", "cc"].map(|id| suite.group(&acme, "organizations/acme", id));
    let (a, b, c) = (a.await.unwrap(), b.await.unwrap(), c.await.unwrap());
    suite.join(&acme, &a, &b).await.unwrap();
    for (group, member) in [(&b, &c), (&c, &a), (&c, &c)] {
        let refused = suite.join(&acme, group, member).await.unwrap_err();
        assert_eq!(told(&refused), (Code::FailedPrecondition, "GROUP_NESTED_TOO_DEEP".into()), "{member} in {group}");
    }
    let elsewhere = suite.group(&beta, "organizations/beta", "dd").await.unwrap();
    assert_eq!(reason(&suite.join(&acme, &c, &elsewhere).await.unwrap_err()), "ORGANIZATION_MISMATCH");
    assert_eq!(reason(&suite.join(&acme, &c, "users/nobody").await.unwrap_err()), "PRINCIPAL_DISABLED");
    assert_eq!(reason(&suite.join(&beta, &c, &beta).await.unwrap_err()), "ACCESS_DENIED");
    assert_eq!(
        reason(&suite.join(&acme, "organizations/acme/groups/none", &acme).await.unwrap_err()),
        "GROUP_NOT_FOUND"
    );
    assert_eq!(reason(&suite.group(&acme, "organizations/acme", "aa").await.unwrap_err()), "GROUP_EXISTS");
}

#[tokio::test]
async fn nobody_joins_anybody_to_a_group_that_holds_more_than_they_do() {
    let suite = Suite::begun().await;
    let acme = suite.organization("acme").await;
    let group = suite.group(&acme, "organizations/acme", "powerful").await.unwrap();
    suite.grant(&group, "roles/admin", "*").await.unwrap();
    let refused = suite.join(&acme, &group, &acme).await.unwrap_err();
    assert_eq!(told(&refused), (Code::PermissionDenied, "GRANT_TOO_WIDE".into()));
    suite.join("users/admin", &group, &acme).await.unwrap();
    assert!(suite.may_see(&acme, "projects/default").await);
}

#[tokio::test]
async fn a_role_is_made_of_what_one_holds_means_what_it_says_and_goes_when_nobody_holds_it() {
    let suite = Suite::begun().await;
    let (acme, _) = (suite.organization("acme").await, suite.organization("beta").await);
    let wide = suite.role(&acme, "organizations/acme", "wide", &["auth.users.create"]).await.unwrap_err();
    assert_eq!(told(&wide), (Code::PermissionDenied, "GRANT_TOO_WIDE".into()));
    let misspelled = suite.role(&acme, "organizations/acme", "odd", &["auth.projects.gt"]).await.unwrap_err();
    assert_eq!(misspelled.code(), Code::InvalidArgument);
    let role = suite.role(&acme, "organizations/acme", "looker", &["auth.projects.get"]).await.unwrap();
    assert_eq!((role.permissions.len(), role.unknown_permissions.len()), (1, 0));
    let ada = suite.user(None).await;
    let binding = suite.give(&acme, &ada, &role.name, "projects/acme-1").await.unwrap();
    assert!(suite.may_see(&ada, "projects/acme-1").await);
    let elsewhere = suite.grant(&ada, &role.name, "projects/beta-1").await.unwrap_err();
    assert_eq!(told(&elsewhere), (Code::FailedPrecondition, "ORGANIZATION_MISMATCH".into()));

    let delete = || proto::DeleteRoleRequest { name: role.name.clone(), ..Default::default() };
    let used = suite.roles().delete_role(suite.by_user(&acme, delete())).await.unwrap_err();
    assert_eq!(told(&used), (Code::FailedPrecondition, "ROLE_IN_USE".into()));
    let nothing =
        proto::Role { name: role.name.clone(), permissions: vec!["auth.roles.list".into()], ..Default::default() };
    let update = proto::UpdateRoleRequest { role: Some(nothing), ..Default::default() };
    suite.roles().update_role(suite.by_user(&acme, update)).await.unwrap();
    assert!(!suite.may_see(&ada, "projects/acme-1").await, "for everybody who holds it");
    let list = proto::ListRolesRequest { parent: "organizations/acme".into(), page_size: 2, ..Default::default() };
    let (mut names, mut token) = (vec![], String::new());
    loop {
        let page = proto::ListRolesRequest { page_token: token, ..list.clone() };
        let page = suite.access().list_roles(suite.by_user(&acme, page)).await.unwrap().into_inner();
        names.extend(page.roles.into_iter().map(|role| role.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names.last(), Some(&role.name));
    assert_eq!(names.len(), 10, "{names:?}");

    let withdraw = proto::DeleteBindingRequest { name: binding.name, ..Default::default() };
    suite.access().delete_binding(suite.by_user(&acme, withdraw)).await.unwrap();
    suite.roles().delete_role(suite.by_user(&acme, delete())).await.unwrap();
    let gone = suite.give(&acme, &ada, &role.name, "projects/acme-1").await.unwrap_err();
    assert_eq!(reason(&gone), "ROLE_UNKNOWN");
}

#[tokio::test]
async fn duties_that_are_apart_are_not_held_together_whichever_way_they_come() {
    let suite = Suite::begun().await;
    let acme = suite.organization("acme").await;
    let apart = |pairs: &[(&str, &str)]| {
        let pair = |(role, other): &(&str, &str)| proto::SeparatedDuties {
            role: (*role).into(),
            other_role: (*other).into(),
            ..Default::default()
        };
        let organization = proto::Organization {
            name: "organizations/acme".into(),
            separated_duties: pairs.iter().map(pair).collect(),
            ..Default::default()
        };
        proto::UpdateOrganizationRequest { organization: Some(organization), ..Default::default() }
    };
    let request = apart(&[("roles/editor", "roles/manager")]);
    suite.organizations().update_organization(suite.by_user(&acme, request)).await.unwrap();
    let (ada, bob) = (suite.user(None).await, suite.user(None).await);
    let separated = (Code::FailedPrecondition, "DUTIES_SEPARATED".to_owned());
    suite.give(&acme, &ada, "roles/editor", "projects/acme-1").await.unwrap();
    for resource in ["projects/acme-1", "projects/acme-1/models/m", "organizations/acme"] {
        let refused = suite.give(&acme, &ada, "roles/manager", resource).await.unwrap_err();
        assert_eq!(told(&refused), separated, "{resource}");
    }
    assert_eq!(told(&suite.grant(&ada, "roles/manager", "*").await.unwrap_err()), separated);
    suite.grant(&ada, "roles/manager", "projects/default").await.expect("of another organization");
    // Through a group, as a member and as what the group is given.
    let managers = suite.group(&acme, "organizations/acme", "managers").await.unwrap();
    suite.give(&acme, &managers, "roles/manager", "projects/acme-1").await.unwrap();
    assert_eq!(told(&suite.join(&acme, &managers, &ada).await.unwrap_err()), separated);
    suite.join(&acme, &managers, &bob).await.unwrap();
    assert_eq!(told(&suite.give(&acme, &bob, "roles/editor", "projects/acme-1").await.unwrap_err()), separated);
    let mixed = suite.group(&acme, "organizations/acme", "mixed").await.unwrap();
    suite.join(&acme, &mixed, &bob).await.unwrap();
    assert_eq!(told(&suite.give(&acme, &mixed, "roles/editor", "projects/acme-1").await.unwrap_err()), separated);
    // What is held together already is not declared apart.
    suite.give(&acme, &ada, "roles/viewer", "projects/acme-1").await.unwrap();
    let refused = apart(&[("roles/editor", "roles/viewer")]);
    let refused = suite.organizations().update_organization(suite.by_user(&acme, refused)).await.unwrap_err();
    assert_eq!(told(&refused), separated);
}

#[tokio::test]
async fn of_two_roles_that_are_apart_given_at_once_one_is_held() {
    let suite = Suite::begun().await;
    suite.organization("acme").await;
    let pair = proto::SeparatedDuties {
        role: "roles/editor".into(),
        other_role: "roles/manager".into(),
        ..Default::default()
    };
    let organization =
        proto::Organization { name: "organizations/acme".into(), separated_duties: vec![pair], ..Default::default() };
    let update = proto::UpdateOrganizationRequest { organization: Some(organization), ..Default::default() };
    suite.organizations().update_organization(suite.by_admin(update)).await.unwrap();
    let ada = suite.user(None).await;
    let outcomes = tokio::join!(
        suite.give("users/admin", &ada, "roles/editor", "projects/acme-1"),
        suite.give("users/admin", &ada, "roles/manager", "projects/acme-1")
    );
    assert_eq!(usize::from(outcomes.0.is_ok()) + usize::from(outcomes.1.is_ok()), 1, "{outcomes:?}");
}

#[tokio::test]
async fn a_denial_takes_what_a_role_gives_and_takes_a_right_of_its_own() {
    let suite = Suite::begun().await;
    let acme = suite.organization("acme").await;
    let manager = suite.user(Some(("roles/manager", "projects/acme-1"))).await;
    let ada = suite.user(Some(("roles/viewer", "organizations/acme"))).await;
    let deny = |resource: &str, role: &str, permissions: &[&str]| proto::GrantRoleRequest {
        resource: resource.into(),
        principal: ada.clone(),
        effect: proto::binding::Effect::Deny.into(),
        role: role.into(),
        permissions: permissions.iter().map(|word| (*word).to_owned()).collect(),
        ..Default::default()
    };
    let words = &["auth.projects.get", "auth.projects.list"];
    let refused =
        suite.access().grant_role(suite.by_user(&manager, deny("projects/acme-1", "", words))).await.unwrap_err();
    assert_eq!(told(&refused), (Code::PermissionDenied, "ACCESS_DENIED".into()));
    for bad in [
        deny("projects/acme-1", "", &[]),
        deny("projects/acme-1", "roles/viewer", words),
        deny("projects/acme-1", "", &["auth.projects.gt"]),
        deny("projects/acme-1/models/m", "", words),
    ] {
        let refused = suite.access().grant_role(suite.by_user(&acme, bad.clone())).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bad:?}");
    }
    let denial = suite.access().grant_role(suite.by_user(&acme, deny("projects/acme-1", "", words))).await.unwrap();
    let denial = denial.into_inner();
    assert_eq!((denial.effect(), denial.permissions.len()), (proto::binding::Effect::Deny, 2));
    suite.project(&acme, "acme-2", "organizations/acme").await.unwrap();
    assert!(!suite.may_see(&ada, "projects/acme-1").await && suite.may_see(&ada, "projects/acme-2").await);
    assert_eq!(suite.seen_projects(&ada, "").await, ["projects/acme-2"], "a list leaves it out");
    let check = proto::CheckPermissionRequest {
        principal: ada.clone(),
        permission: "auth.projects.get".into(),
        resource: "projects/acme-1".into(),
        ..Default::default()
    };
    let answer = suite.access().check_permission(suite.by_admin(check)).await.unwrap().into_inner();
    assert_eq!(answer.denial(), proto::check_permission_response::Denial::Denied);
    assert!(answer.grants.iter().any(|grant| grant.denies && grant.binding == denial.name), "{answer:?}");
    let lift = proto::DeleteBindingRequest { name: denial.name, ..Default::default() };
    suite.access().delete_binding(suite.by_user(&acme, lift)).await.unwrap();
    assert!(suite.may_see(&ada, "projects/acme-1").await);
    assert_eq!(suite.events("DenialLifted").await.len(), 1);
}

#[tokio::test]
async fn a_binding_keeps_its_conditions_and_refuses_those_that_cannot_be() {
    let suite = Suite::begun().await;
    let acme = suite.organization("acme").await;
    let ada = suite.user(None).await;
    let with = |condition: proto::Condition| proto::GrantRoleRequest {
        resource: "projects/acme-1".into(),
        principal: ada.clone(),
        role: "roles/viewer".into(),
        condition: Some(condition),
        ..Default::default()
    };
    let window = |days: &[i32], start: &str, end: &str| proto::condition::Window {
        days: days.to_vec(),
        start: start.into(),
        end: end.into(),
    };
    let whole = proto::Condition {
        windows: vec![window(&[1, 5], "08:00", "18:30")],
        source_networks: vec!["10.0.0.0/8".into()],
        project_tags: [("tier".to_owned(), "test".to_owned())].into(),
        start_time: None,
    };
    let made = suite.access().grant_role(suite.by_user(&acme, with(whole.clone()))).await.unwrap().into_inner();
    assert_eq!(made.condition, Some(whole));
    let network = |text: &str| proto::Condition { source_networks: vec![text.into()], ..Default::default() };
    let hours = |window| proto::Condition { windows: vec![window], ..Default::default() };
    let tag = proto::Condition { project_tags: [("a b".to_owned(), "c".to_owned())].into(), ..Default::default() };
    for bad in [network("10.0.0.0/40"), hours(window(&[8], "08:00", "18:00")), hours(window(&[], "8", "18:00")), tag] {
        let refused = suite.access().grant_role(suite.by_user(&acme, with(bad.clone()))).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bad:?}");
    }
    // Tags are given by who may, and a binding that depends on them holds once they are there.
    let tagged =
        proto::Condition { project_tags: [("tier".to_owned(), "test".to_owned())].into(), ..Default::default() };
    suite.access().grant_role(suite.by_user(&acme, with(tagged))).await.unwrap();
    assert!(!suite.may_see(&ada, "projects/acme-1").await);
    let manager = suite.user(Some(("roles/manager", "projects/acme-1"))).await;
    let classify = || proto::ClassifyProjectRequest {
        name: "projects/acme-1".into(),
        tags: [("tier".to_owned(), "test".to_owned())].into(),
        ..Default::default()
    };
    assert!(suite.projects().classify_project(suite.by_user(&manager, classify())).await.is_err());
    suite.projects().classify_project(suite.by_user(&acme, classify())).await.unwrap();
    assert!(suite.may_see(&ada, "projects/acme-1").await);
}
