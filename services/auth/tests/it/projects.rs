use cairn_contract::cairn::auth::v1 as proto;
use prost_types::FieldMask;
use tonic::Code;

use crate::suite::{Suite, reason, values};

fn create(id: &str, request_id: &str) -> proto::CreateProjectRequest {
    let project = proto::Project { title: id.to_uppercase(), ..Default::default() };
    proto::CreateProjectRequest {
        project_id: id.into(),
        project: Some(project),
        request_id: request_id.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_project_is_created_changed_deleted_and_restored() {
    let suite = Suite::begun().await;
    let created = suite.projects().create_project(suite.by_admin(create("fraud", ""))).await.unwrap();
    assert!(created.metadata().contains_key("cairn-position"));
    let created = created.into_inner();
    assert_eq!(
        (created.name.as_str(), created.title.as_str(), created.state()),
        ("projects/fraud", "FRAUD", proto::project::State::Active)
    );

    let wanted = proto::Project { description: "card fraud".into(), ..created.clone() };
    let mask = Some(FieldMask { paths: vec!["description".into()] });
    let update = proto::UpdateProjectRequest { project: Some(wanted), update_mask: mask, request_id: String::new() };
    let updated = suite.projects().update_project(suite.by_admin(update.clone())).await.unwrap().into_inner();
    assert_eq!((updated.title.as_str(), updated.description.as_str()), ("FRAUD", "card fraud"));
    let stale = suite.projects().update_project(suite.by_admin(update)).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));

    let name = created.name.clone();
    let delete = proto::DeleteProjectRequest { name: name.clone(), ..Default::default() };
    let deleted = suite.projects().delete_project(suite.by_admin(delete)).await.unwrap().into_inner();
    assert_eq!(deleted.state(), proto::project::State::Deleted);
    let taken = suite.projects().create_project(suite.by_admin(create("fraud", ""))).await.unwrap_err();
    assert_eq!((taken.code(), reason(&taken).as_str()), (Code::AlreadyExists, "PROJECT_EXISTS"));
    let restore = proto::RestoreProjectRequest { name, ..Default::default() };
    let restored = suite.projects().restore_project(suite.by_admin(restore)).await.unwrap().into_inner();
    assert_eq!((restored.state(), restored.description.as_str()), (proto::project::State::Active, "card fraud"));
}

#[tokio::test]
async fn a_repeated_request_answers_as_the_first_and_makes_nothing_new() {
    let suite = Suite::begun().await;
    let first = suite.projects().create_project(suite.by_admin(create("fraud", "r-1"))).await.unwrap().into_inner();
    let second = suite.projects().create_project(suite.by_admin(create("fraud", "r-1"))).await.unwrap().into_inner();
    assert_eq!(second, first);
    let made = suite.projects().create_project(suite.by_admin(create("", "r-2"))).await.unwrap().into_inner();
    let again = suite.projects().create_project(suite.by_admin(create("", "r-2"))).await.unwrap().into_inner();
    assert_eq!(again, made);
    assert_eq!(suite.events("ProjectCreated").await.len(), 3, "the default one and these two");
    let reused = suite.projects().create_project(suite.by_admin(create("other", "r-2"))).await.unwrap_err();
    assert_eq!(reason(&reused), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn a_list_shows_only_what_the_caller_may_see_page_by_page() {
    let suite = Suite::begun().await;
    for id in ["aa", "bb", "cc", "dd"] {
        suite.projects().create_project(suite.by_admin(create(id, ""))).await.unwrap();
    }
    let ada = suite.user(Some(("roles/viewer", "projects/bb"))).await;
    suite.grant(&ada, "roles/editor", "projects/dd").await.unwrap();
    let list = |page_size, page_token: &str| proto::ListProjectsRequest {
        page_size,
        page_token: page_token.into(),
        show_deleted: false,
        ..Default::default()
    };
    let names = |answer: &proto::ListProjectsResponse| {
        answer.projects.iter().map(|project| project.name.clone()).collect::<Vec<_>>()
    };
    let first = suite.projects().list_projects(suite.by_user(&ada, list(1, ""))).await.unwrap().into_inner();
    assert_eq!(names(&first), ["projects/bb"]);
    let token = first.next_page_token.clone();
    let second = suite.projects().list_projects(suite.by_user(&ada, list(1, &token))).await.unwrap().into_inner();
    assert_eq!((names(&second), second.next_page_token.as_str()), (vec!["projects/dd".to_owned()], ""));
    let all = suite.projects().list_projects(suite.by_admin(list(0, ""))).await.unwrap().into_inner();
    assert_eq!(names(&all), ["projects/aa", "projects/bb", "projects/cc", "projects/dd", "projects/default"]);

    let nobody = suite.user(None).await;
    let refused = suite.projects().list_projects(suite.by_user(&nobody, list(0, ""))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

fn limits(runs_max: Option<u32>) -> proto::ProjectQuota {
    let (storage_bytes_max, requests_per_second) = (Some(10 << 30), Some(50));
    proto::ProjectQuota { runs_max, storage_bytes_max, requests_per_second, ..Default::default() }
}

fn set(project: &str, quota: proto::ProjectQuota) -> proto::SetProjectQuotaRequest {
    proto::SetProjectQuotaRequest { name: project.into(), quota: Some(quota), ..Default::default() }
}

#[tokio::test]
async fn a_quota_is_set_read_as_it_is_and_was_and_taken_away() {
    let suite = Suite::begun().await;
    suite.open("fraud").await;
    let get = |as_of: &str| proto::GetProjectQuotaRequest { name: "projects/fraud".into(), as_of: as_of.into() };
    let none = suite.projects().get_project_quota(suite.by_admin(get(""))).await.unwrap().into_inner();
    assert_eq!((none.runs_max, none.storage_bytes_max, none.name.as_str()), (None, None, "projects/fraud"));

    let answer =
        suite.projects().set_project_quota(suite.by_admin(set("projects/fraud", limits(Some(3))))).await.unwrap();
    let position = answer.metadata().get("cairn-position").unwrap().to_str().unwrap().to_owned();
    let answer = answer.into_inner();
    assert_eq!(proto::ProjectQuota { name: String::new(), etag: String::new(), ..answer.clone() }, limits(Some(3)));
    let known = suite.deps.access.quota(&"projects/fraud".parse().unwrap());
    assert_eq!((known.runs_max, known.requests_per_second, known.concurrent_runs_max), (Some(3), Some(50), None));
    assert_eq!(suite.deps.access.quota(&"projects/default".parse().unwrap()), Default::default());

    // Again, with what was read: nothing happens. With what was read before: it is refused.
    suite.projects().set_project_quota(suite.by_admin(set("projects/fraud", answer.clone()))).await.unwrap();
    assert_eq!(suite.events("ProjectQuotaSet").await.len(), 1);
    let stale = suite.projects().set_project_quota(suite.by_admin(set("projects/fraud", none))).await.unwrap_err();
    assert_eq!(reason(&stale), "ETAG_MISMATCH");

    let cleared = proto::SetProjectQuotaRequest { name: "projects/fraud".into(), ..Default::default() };
    let cleared = suite.projects().set_project_quota(suite.by_admin(cleared)).await.unwrap().into_inner();
    assert_eq!((cleared.runs_max, cleared.requests_per_second), (None, None));
    assert_eq!(suite.deps.access.quota(&"projects/fraud".parse().unwrap()), Default::default());
    let then = suite.projects().get_project_quota(suite.by_admin(get(&position))).await.unwrap().into_inner();
    assert_eq!(then, answer, "as it was");

    let ground = suite.ground.clone();
    drop(suite);
    let again = ground.start().await;
    again.projects().set_project_quota(again.by_admin(set("projects/fraud", limits(Some(7))))).await.unwrap();
    assert_eq!(again.deps.access.quota(&"projects/fraud".parse().unwrap()).runs_max, Some(7), "after a start too");
}

#[tokio::test]
async fn a_quota_is_set_by_who_administers_the_organization_and_seen_by_who_works_in_the_project() {
    let suite = Suite::begun().await;
    suite.open("fraud").await;
    let manager = suite.user(Some(("roles/manager", "projects/fraud"))).await;
    let admin = suite.user(Some(("roles/org-admin", "organizations/default"))).await;
    let stranger = suite.user(None).await;
    let project = || set("projects/fraud", limits(Some(1)));
    let refused = suite.projects().set_project_quota(suite.by_user(&manager, project())).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ACCESS_DENIED"));
    suite.projects().set_project_quota(suite.by_user(&admin, project())).await.unwrap();
    let get = || proto::GetProjectQuotaRequest { name: "projects/fraud".into(), ..Default::default() };
    let seen = suite.projects().get_project_quota(suite.by_user(&manager, get())).await.unwrap().into_inner();
    assert_eq!(seen.runs_max, Some(1));
    let hidden = suite.projects().get_project_quota(suite.by_user(&stranger, get())).await.unwrap_err();
    assert_eq!(hidden.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_quota_that_cannot_be_is_refused_with_what_is_wrong() {
    let suite = Suite::begun().await;
    suite.open("fraud").await;
    let cases = [
        (proto::ProjectQuota { requests_per_second: Some(0), ..Default::default() }, "quota.requests_per_second"),
        (proto::ProjectQuota { storage_bytes_max: Some(u64::MAX), ..Default::default() }, "quota.storage_bytes_max"),
        (proto::ProjectQuota { name: "projects/other".into(), ..Default::default() }, "quota.name"),
    ];
    for (quota, field) in cases {
        let refused =
            suite.projects().set_project_quota(suite.by_admin(set("projects/fraud", quota))).await.unwrap_err();
        assert_eq!((refused.code(), values(&refused)["field"].as_str()), (Code::InvalidArgument, field));
    }
    let nowhere =
        suite.projects().set_project_quota(suite.by_admin(set("projects/none", limits(None)))).await.unwrap_err();
    assert_eq!(reason(&nowhere), "PROJECT_NOT_FOUND");
    assert!(suite.events("ProjectQuotaSet").await.is_empty());
}
