use std::sync::Arc;
use std::time::Duration;

use cairn_access::{Access, Config, Keyring};
use cairn_contract::cairn::auth::events::v1::{ProjectCreated, RoleGranted, UserCreated, UserDisabled};
use cairn_contract::cairn::ledger::events::v1::{AccessDenied, StrangersRefused};
use cairn_eventstore::{EventStore, Memory, NewEvent, Write};
use cairn_kernel::{Expected, Position, StreamName, SystemClock};
use cairn_service::guard::{AFTER, PRINCIPAL, PROJECT, SOURCE};
use prost::{Message, Name};
use tokio::time::Instant;
use tonic::{Code, Request};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::reason;
use crate::zoo::{LION, LionRequest, Zoo, about_leo};

#[tokio::test]
async fn a_stranger_is_refused_and_only_counted() {
    let zoo = Zoo::new();
    for _ in 0..5 {
        let mut request = about_leo("meat");
        request.metadata_mut().insert(SOURCE, "10.0.0.7".parse().unwrap());
        let refused = zoo.call("GetLion", request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "CREDENTIAL_MISSING"));
    }
    assert_eq!(zoo.events().await.len(), 0, "no refusal of a stranger costs a durable write");
    zoo.process.drain().await.unwrap();
    let events = zoo.events().await;
    assert_eq!(events.len(), 1);
    assert!(events[0].stream.as_str().starts_with("ledger.access-deployment/20"), "{}", events[0].stream);
    let refused = StrangersRefused::decode(events[0].payload.clone()).unwrap();
    assert_eq!((refused.counts[0].source_address.as_str(), refused.counts[0].count), ("10.0.0.0", 5));
    assert_eq!(refused.counts[0].reason, "CREDENTIAL_MISSING");
}

#[tokio::test]
async fn a_stranger_learns_nothing_about_what_a_request_should_look_like() {
    let zoo = Zoo::new();
    let malformed = Request::new(LionRequest { name: "no name".into(), ..Default::default() });
    assert_eq!(zoo.call("GetLion", malformed).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn nothing_but_the_gateways_signature_identifies_a_caller() {
    let zoo = Zoo::new();
    let theirs = Keyring::generate();
    let others = Access::fixed(Default::default(), Arc::new(SystemClock), Arc::new(theirs));
    let forged = others.sign(&crate::zoo::user("users/keeper")).unwrap();
    for (key, value) in [
        ("authorization", "Bearer users/keeper".to_owned()),
        ("cairn-user", "users/keeper".to_owned()),
        (PRINCIPAL, "users/keeper".to_owned()),
        (PRINCIPAL, forged),
        (PRINCIPAL, "eyJhbGciOiJub25lIn0.e30.".to_owned()),
    ] {
        let mut request = about_leo("meat");
        request.metadata_mut().insert(key, value.parse().unwrap());
        let refused = zoo.call("GetLion", request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{key}");
    }
}

#[tokio::test]
async fn an_allowed_caller_reaches_the_service_with_all_that_was_said() {
    let zoo = Zoo::new();
    let mut request = about_leo("meat");
    request.metadata_mut().insert(AFTER, "7".parse().unwrap());
    request.metadata_mut().insert(SOURCE, "10.0.0.7".parse().unwrap());
    let answer = zoo.call_as("users/keeper", "GetLion", request).await.unwrap();
    assert_eq!(answer.metadata().get("cairn-position").unwrap(), "42");
    let seen = answer.into_inner().seen;
    assert_eq!(seen, format!("users/keeper {LION} projects/fraud Some(7) Some(\"10.0.0.7\")"));
    assert_eq!(zoo.events().await.len(), 0, "an ordinary read is not recorded");
}

#[tokio::test]
async fn a_refusal_of_a_known_caller_is_durable_before_the_answer_leaves() {
    let zoo = Zoo::new();
    let refused = zoo.call_as("users/visitor", "GetLion", about_leo("meat")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ACCESS_DENIED"));
    assert!(refused.message().ends_with("(or it might not exist)"), "{}", refused.message());
    let told = refused.get_error_details().error_info().unwrap().metadata["decision_id"].clone();

    let events = zoo.events().await;
    assert_eq!(events.len(), 1);
    assert!(events[0].stream.as_str().starts_with("ledger.access-projects/fraud/20"), "{}", events[0].stream);
    let denied = AccessDenied::decode(events[0].payload.clone()).unwrap();
    let call = denied.call.unwrap();
    assert_eq!((denied.permission.as_str(), denied.reason.as_str()), ("experiments.runs.get", "ACCESS_DENIED"));
    assert_eq!((call.principal.as_str(), call.resource.as_str()), ("users/visitor", LION));
    assert_eq!(call.decision_id, told);
    let metadata = events[0].metadata();
    assert_eq!(metadata.principal, "users/visitor");
    assert_eq!(metadata.decision_id, Some(told));
    assert!(metadata.traceparent.is_some());
}

#[tokio::test]
async fn a_right_that_only_the_service_can_ask_for_is_recorded_like_any_other() {
    let zoo = Zoo::new();
    let refused = zoo.call_as("users/keeper", "GetLion", about_leo("elsewhere")).await.unwrap_err();
    assert_eq!(reason(&refused), "ACCESS_DENIED");
    let denied = AccessDenied::decode(zoo.events().await[0].payload.clone()).unwrap();
    assert_eq!(denied.permission, "experiments.runs.delete");
    assert_eq!(denied.call.unwrap().resource, "projects/other/lions/leo");
}

#[tokio::test]
async fn everybody_may_call_a_public_method_but_not_with_a_false_name() {
    let zoo = Zoo::new();
    assert!(zoo.call("ShowPrices", about_leo("")).await.unwrap().into_inner().seen.starts_with("anonymous * "));
    let mut forged = about_leo("");
    forged.metadata_mut().insert(PRINCIPAL, "x.y.z".parse().unwrap());
    assert_eq!(zoo.call("ShowPrices", forged).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn metadata_and_names_that_decide_are_refused_when_malformed() {
    let zoo = Zoo::new();
    for (key, value) in [(AFTER, "soon"), (PROJECT, "fraud")] {
        let mut request = about_leo("meat");
        request.metadata_mut().insert(key, value.parse().unwrap());
        let refused = zoo.call_as("users/keeper", "GetLion", request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "VALIDATION_ERROR"));
    }
    for name in ["", "projects/fraud/lions", "projects/../lions/leo", "projects/fraud/lions/leo%2F"] {
        let request = Request::new(LionRequest { name: name.into(), ..Default::default() });
        let refused = zoo.call_as("users/keeper", "GetLion", request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name:?}");
    }
}

/// A token whose signature is remembered must not outlive what it stands for.
#[tokio::test]
async fn a_disabled_account_is_refused_at_once_although_its_token_is_remembered() {
    fn event<M: Name>(stream: &str, message: &M) -> Write {
        let event = NewEvent {
            id: Uuid::new_v4(),
            kind: M::full_name().into(),
            payload: message.encode_to_vec().into(),
            metadata: Default::default(),
        };
        Write { stream: StreamName::stored(stream), expected: Expected::Any, follows: None, events: vec![event] }
    }
    let store: Arc<dyn EventStore> = Arc::new(Memory::new());
    let (user, project) = ("users/keeper".to_owned(), "projects/fraud".to_owned());
    let granted = RoleGranted {
        binding: "bindings/1".into(),
        principal: user.clone(),
        role: "roles/manager".into(),
        resource: project.clone(),
        ..Default::default()
    };
    let writes = vec![
        event("auth.project-1", &ProjectCreated { project, ..Default::default() }),
        event("auth.user-1", &UserCreated { user: user.clone() }),
        event("auth.binding-1", &granted),
    ];
    let clock = Arc::new(SystemClock);
    let keyring = Arc::new(Keyring::generate());
    let access = Access::start(Arc::clone(&store), clock, keyring, &Config::default());
    let known = |position: Position| {
        let access = Arc::clone(&access);
        async move { access.reached(position, Instant::now() + Duration::from_secs(10)).await.unwrap() }
    };
    known(store.append(writes).await.unwrap().position).await;

    let zoo = Zoo::with_access(Arc::clone(&store), Arc::clone(&access));
    let request = || zoo.signed("users/keeper", about_leo("meat"));
    let same_token = request().metadata().get(PRINCIPAL).unwrap().clone();
    zoo.call("GetLion", request()).await.unwrap();
    let disabled = event("auth.user-1", &UserDisabled { user, ..Default::default() });
    known(store.append(vec![disabled]).await.unwrap().position).await;
    assert_eq!(request().metadata().get(PRINCIPAL).unwrap(), same_token);
    let refused = zoo.call("GetLion", request()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "CREDENTIAL_REVOKED"));
    assert_eq!(zoo.events().await.len(), 1, "a known caller's refusal is recorded");
}
