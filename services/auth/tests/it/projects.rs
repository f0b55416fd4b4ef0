use cairn_contract::cairn::auth::v1 as proto;
use prost_types::FieldMask;
use tonic::Code;

use crate::suite::{Suite, reason};

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
