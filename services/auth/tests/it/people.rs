use cairn_contract::cairn::auth::v1 as proto;
use cairn_eventstore::{Direction, EventStore, Filter};
use cairn_kernel::Position;
use prost_types::FieldMask;

use crate::suite::{Suite, reason};

fn canary(email: &str) -> proto::CreateUserRequest {
    let user = proto::User { display_name: "Wilhelmina Canary".into(), email: email.into(), ..Default::default() };
    proto::CreateUserRequest { user: Some(user), request_id: String::new() }
}

#[tokio::test]
async fn who_a_user_is_stands_nowhere_in_the_log_and_is_gone_with_them() {
    let suite = Suite::begun().await;
    let created = suite.users().create_user(suite.by_admin(canary("canary@example.org"))).await.unwrap().into_inner();
    assert_eq!(created.display_name, "Wilhelmina Canary");
    let wanted = proto::User { email: "canary@example.com".into(), ..created.clone() };
    let mask = Some(FieldMask { paths: vec!["email".into()] });
    let update = proto::UpdateUserRequest { user: Some(wanted), update_mask: mask, request_id: String::new() };
    let updated = suite.users().update_user(suite.by_user(&created.name, update)).await.unwrap().into_inner();
    assert_eq!((updated.display_name.as_str(), updated.email.as_str()), ("Wilhelmina Canary", "canary@example.com"));
    let page = suite.ground.store.read_all(Position::START, Direction::Forwards, &Filter::all(), 1_000).await.unwrap();
    for recorded in &page.events {
        let text = [&recorded.payload[..], &recorded.metadata[..], recorded.stream.as_str().as_bytes()].concat();
        let text = String::from_utf8_lossy(&text).to_lowercase();
        assert!(!text.contains("canary"), "{} tells who they are", recorded.kind);
    }

    let delete = proto::DeleteUserRequest { name: created.name.clone(), ..Default::default() };
    let deleted = suite.users().delete_user(suite.by_admin(delete)).await.unwrap().into_inner();
    assert_eq!((deleted.display_name.as_str(), deleted.state()), ("", proto::user::State::Deleted));
    let people = std::fs::read(suite.ground.folder.path().join("auth-people.sqlite")).unwrap();
    assert!(!String::from_utf8_lossy(&people).to_lowercase().contains("canary"));
}

#[tokio::test]
async fn a_mail_address_is_one_users_until_they_are_gone() {
    let suite = Suite::begun().await;
    let first = suite.users().create_user(suite.by_admin(canary("c@example.org"))).await.unwrap().into_inner();
    let taken = suite.users().create_user(suite.by_admin(canary("C@EXAMPLE.org"))).await.unwrap_err();
    assert_eq!(reason(&taken), "EMAIL_TAKEN");
    let delete = proto::DeleteUserRequest { name: first.name, ..Default::default() };
    suite.users().delete_user(suite.by_admin(delete)).await.unwrap();
    assert!(suite.users().create_user(suite.by_admin(canary("c@example.org"))).await.is_ok());
}

#[tokio::test]
async fn a_user_sees_themselves_and_not_the_others() {
    let suite = Suite::begun().await;
    let (ada, bob) = (suite.user(None).await, suite.user(None).await);
    let get = |name: &str| proto::GetUserRequest { name: name.to_owned(), ..Default::default() };
    assert!(suite.users().get_user(suite.by_user(&ada, get(&ada))).await.is_ok());
    assert!(suite.users().get_user(suite.by_user(&ada, get(&bob))).await.is_err());
    let list = proto::ListUsersRequest::default();
    let all = suite.users().list_users(suite.by_admin(list)).await.unwrap().into_inner().users;
    assert_eq!(all.len(), 3, "the administrator and these two");
}

#[tokio::test]
async fn a_repeat_that_says_something_else_changes_nothing_and_brings_nobody_back() {
    let suite = Suite::begun().await;
    let request = |email: &str| proto::CreateUserRequest { request_id: "r-1".into(), ..canary(email) };
    let made = suite.users().create_user(suite.by_admin(request("one@example.org"))).await.unwrap().into_inner();
    let other = suite.users().create_user(suite.by_admin(request("two@example.org"))).await.unwrap_err();
    assert_eq!(reason(&other), "REQUEST_ID_REUSED");
    let get = || proto::GetUserRequest { name: made.name.clone(), ..Default::default() };
    let shown = suite.users().get_user(suite.by_admin(get())).await.unwrap().into_inner();
    assert_eq!(shown.email, "one@example.org");

    let delete = proto::DeleteUserRequest { name: made.name.clone(), ..Default::default() };
    suite.users().delete_user(suite.by_admin(delete)).await.unwrap();
    let again = suite.users().create_user(suite.by_admin(request("one@example.org"))).await.unwrap().into_inner();
    assert_eq!((again.email.as_str(), again.display_name.as_str()), ("", ""));
    let people = std::fs::read(suite.ground.folder.path().join("auth-people.sqlite")).unwrap();
    assert!(!String::from_utf8_lossy(&people).to_lowercase().contains("canary"));
}

#[tokio::test]
async fn an_erasure_is_on_record_once_after_nothing_is_known_any_more() {
    let suite = Suite::begun().await;
    let made = suite.users().create_user(suite.by_admin(canary("canary@example.org"))).await.unwrap().into_inner();
    let erase = || proto::EraseUserRequest {
        name: made.name.clone(),
        reason: "request 7".into(),
        request_id: "r-9".into(),
        ..Default::default()
    };
    let refused = suite.users().erase_user(suite.by_user(&made.name, erase())).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    for _ in 0..2 {
        let erased = suite.users().erase_user(suite.by_admin(erase())).await.unwrap().into_inner();
        assert_eq!((erased.display_name.as_str(), erased.email.as_str()), ("", ""));
        assert_eq!(erased.state(), proto::user::State::Deleted);
    }
    let page = suite.ground.store.read_all(Position::START, Direction::Forwards, &Filter::all(), 1_000).await.unwrap();
    let of_user = page.events.iter().filter(|event| event.stream.as_str().ends_with(&made.name));
    let kinds: Vec<_> = of_user.map(|event| event.kind.rsplit('.').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(kinds, ["UserCreated", "UserDeleted", "UserErased"]);
    let people = std::fs::read(suite.ground.folder.path().join("auth-people.sqlite")).unwrap();
    assert!(!String::from_utf8_lossy(&people).to_lowercase().contains("canary"));
}
