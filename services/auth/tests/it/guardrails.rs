use std::collections::HashMap;
use std::time::Duration;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::check_permission_response::Denial;
use tonic::Code;

use crate::suite::{Suite, reason};

const ACME: &str = "organizations/acme";

async fn acme(suite: &Suite) {
    let request = proto::CreateOrganizationRequest { organization_id: "acme".into(), ..Default::default() };
    suite.organizations().create_organization(suite.by_admin(request)).await.unwrap();
    let request = proto::CreateProjectRequest { project_id: "fraud".into(), parent: ACME.into(), ..Default::default() };
    suite.projects().create_project(suite.by_admin(request)).await.unwrap();
}

fn written(policy: &str) -> proto::Guardrail {
    proto::Guardrail { policy: policy.into(), description: "because".into(), ..Default::default() }
}

async fn forbid(suite: &Suite, id: &str, guardrail: proto::Guardrail) -> Result<proto::Guardrail, tonic::Status> {
    let request = proto::CreateGuardrailRequest {
        parent: ACME.into(),
        guardrail_id: id.into(),
        guardrail: Some(guardrail),
        ..Default::default()
    };
    Ok(suite.guardrails().create_guardrail(suite.by_admin(request)).await?.into_inner())
}

/// Deletes the project, or says who forbids it: the reason, the guardrail, and the decision.
async fn delete(suite: &Suite) -> Result<(), HashMap<String, String>> {
    let request = proto::DeleteProjectRequest { name: "projects/fraud".into(), ..Default::default() };
    let answer = suite.projects().delete_project(suite.by_admin(request)).await;
    let status = match answer {
        Ok(_) => return Ok(()),
        Err(status) => status,
    };
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "GUARDRAIL_FORBIDS"), "{status:?}");
    Err(crate::suite::values(&status))
}

#[tokio::test]
async fn what_a_guardrail_forbids_is_refused_on_record_and_decided_again_s4_132() {
    let suite = Suite::begun().await;
    acme(&suite).await;
    let made = forbid(&suite, "keep", written("forbid (principal, action, resource);")).await.unwrap();
    assert_eq!((made.name.as_str(), made.description.as_str()), ("organizations/acme/guardrails/keep", "because"));

    let told = delete(&suite).await.unwrap_err();
    assert_eq!(told["guardrail"], made.name);
    let decision = format!("decisions/{}", told["decision_id"]);
    let request = proto::ExplainDecisionRequest { name: decision.clone() };
    let explained = suite.access().explain_decision(suite.by_admin(request)).await.unwrap().into_inner();
    assert_eq!((explained.denial(), explained.guardrail.as_str()), (Denial::Guardrail, made.name.as_str()));
    assert!(explained.guardrail_fault.is_empty());

    // Decided again by the rules of then it is the same, and by those of today it is not.
    let remove = proto::DeleteGuardrailRequest { name: made.name.clone(), ..Default::default() };
    suite.guardrails().delete_guardrail(suite.by_admin(remove)).await.unwrap();
    for (rules, agrees, allowed) in [(1, true, false), (2, false, true)] {
        let request = proto::ReplayDecisionRequest { name: decision.clone(), rules };
        let replayed = suite.access().replay_decision(suite.by_admin(request)).await.unwrap().into_inner();
        let again = replayed.replayed.unwrap();
        assert_eq!((replayed.agrees, again.allowed), (agrees, allowed));
        assert_eq!(again.guardrail.is_empty(), allowed);
    }
    delete(&suite).await.unwrap();
}

#[tokio::test]
async fn a_fact_that_is_not_known_forbids_and_is_said_s4_132() {
    let suite = Suite::begun().await;
    acme(&suite).await;
    let template = proto::Guardrail {
        template: "fresh-login".into(),
        parameters: [("within".to_owned(), "5m".to_owned())].into(),
        ..Default::default()
    };
    let made = forbid(&suite, "fresh", template).await.unwrap();
    assert!(made.policy.contains("login_age") && made.template == "fresh-login", "{made:?}");
    let told = delete(&suite).await.unwrap_err();
    let request = proto::ExplainDecisionRequest { name: format!("decisions/{}", told["decision_id"]) };
    let explained = suite.access().explain_decision(suite.by_admin(request)).await.unwrap().into_inner();
    assert!(explained.guardrail_fault.contains("login_age"), "{explained:?}");
    // The organization can still take it back: its guardrails do not guard themselves.
    let remove = proto::DeleteGuardrailRequest { name: made.name, ..Default::default() };
    suite.guardrails().delete_guardrail(suite.by_admin(remove)).await.unwrap();
    delete(&suite).await.unwrap();
}

#[tokio::test]
async fn giving_is_guarded_on_what_is_given_whichever_door_it_goes_through_s4_132() {
    let suite = Suite::begun().await;
    acme(&suite).await;
    let user = suite.user(None).await;
    let policy =
        "forbid (principal, action in [Action::\"auth.bindings.create\", Action::\"auth.bindings.grant\"], resource);";
    forbid(&suite, "nobody-new", written(policy)).await.unwrap();
    let refused = suite.grant(&user, "roles/viewer", "projects/fraud").await.unwrap_err();
    assert_eq!(reason(&refused), "GUARDRAIL_FORBIDS");
    let request = proto::GrantRoleRequest {
        resource: "projects/fraud".into(),
        principal: user.clone(),
        role: "roles/viewer".into(),
        ..Default::default()
    };
    let refused = suite.access().grant_role(suite.by_admin(request)).await.unwrap_err();
    assert_eq!(reason(&refused), "GUARDRAIL_FORBIDS");
    suite.grant(&user, "roles/viewer", "projects/default").await.unwrap();
}

#[tokio::test]
async fn guardrails_are_listed_changed_and_gone_and_what_was_can_be_read_s4_132() {
    let suite = Suite::begun().await;
    acme(&suite).await;
    let first = forbid(&suite, "aa", written("forbid (principal, action, resource);")).await.unwrap();
    forbid(&suite, "bb", written("forbid (principal is User, action, resource);")).await.unwrap();
    let taken = forbid(&suite, "aa", written("forbid (principal, action, resource);")).await.unwrap_err();
    assert_eq!(reason(&taken), "GUARDRAIL_EXISTS");
    suite.ground.clock.advance(Duration::from_secs(60));
    let request = proto::UpdateGuardrailRequest {
        guardrail: Some(proto::Guardrail {
            name: first.name.clone(),
            etag: first.etag.clone(),
            template: "approver-not-author".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let changed = suite.guardrails().update_guardrail(suite.by_admin(request.clone())).await.unwrap().into_inner();
    assert!(changed.policy.contains("authors") && changed.description == "because", "{changed:?}");
    let stale = suite.guardrails().update_guardrail(suite.by_admin(request)).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);

    let remove = proto::DeleteGuardrailRequest { name: first.name.clone(), ..Default::default() };
    let gone = suite.guardrails().delete_guardrail(suite.by_admin(remove)).await.unwrap().into_inner();
    assert!(gone.delete_time.is_some());
    let position = suite.events("GuardrailCreated").await.last().unwrap().position.to_string();
    let list =
        |as_of: &str| proto::ListGuardrailsRequest { parent: ACME.into(), as_of: as_of.into(), ..Default::default() };
    for (as_of, expected) in [("", vec!["bb"]), (position.as_str(), vec!["aa", "bb"])] {
        let listed = suite.guardrails().list_guardrails(suite.by_admin(list(as_of))).await.unwrap().into_inner();
        let ids: Vec<_> = listed.guardrails.iter().map(|one| one.name.rsplit('/').next().unwrap()).collect();
        assert_eq!(ids, expected);
    }
    let get = proto::GetGuardrailRequest { name: first.name, as_of: position };
    let before = suite.guardrails().get_guardrail(suite.by_admin(get)).await.unwrap().into_inner();
    assert_eq!((before.policy.as_str(), before.delete_time), ("forbid (principal, action, resource);", None));
}

#[tokio::test]
async fn what_cannot_be_a_guardrail_is_told_why_before_and_when_it_is_stored_s4_132() {
    let suite = Suite::begun().await;
    acme(&suite).await;
    let refused = forbid(&suite, "odd", written("permit (principal, action, resource);")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "GUARDRAIL_INVALID"));
    let validate = |policy: &str, template: &str| proto::ValidateGuardrailRequest {
        parent: ACME.into(),
        policy: policy.into(),
        template: template.into(),
        ..Default::default()
    };
    for (policy, template, valid) in [
        ("forbid (principal, action, resource) when { context.moon };", "", false),
        ("forbid (principal, action, resource);", "approvals", false),
        ("", "", false),
        ("", "approvals", true),
    ] {
        let request = suite.by_admin(validate(policy, template));
        let told = suite.guardrails().validate_guardrail(request).await.unwrap().into_inner();
        assert_eq!((told.valid, told.problems.is_empty()), (valid, valid), "{told:?}");
        assert!(told.schema.contains("registry.promotions.approve"));
    }
    // No more than there is room for.
    for at in 0..100 {
        forbid(&suite, &format!("g-{at}"), written("forbid (principal, action, resource);")).await.unwrap();
    }
    let full = forbid(&suite, "more", written("forbid (principal, action, resource);")).await.unwrap_err();
    assert_eq!(reason(&full), "ORGANIZATION_LIMIT_REACHED");
}

#[tokio::test]
async fn what_a_guardrail_would_have_forbidden_is_said_before_it_does_s4_132() {
    let suite = Suite::begun().await;
    acme(&suite).await;
    delete(&suite).await.unwrap();
    let guard = proto::access_change::Guard {
        organization: ACME.into(),
        policy: "forbid (principal, action == Action::\"auth.projects.delete\", resource);".into(),
        ..Default::default()
    };
    let change = proto::AccessChange { change: Some(proto::access_change::Change::Guard(guard)) };
    let request = proto::PreviewChangesRequest { changes: vec![change], ..Default::default() };
    let told = suite.access().preview_changes(suite.by_admin(request)).await.unwrap().into_inner();
    let flips: Vec<_> = told.flips.iter().map(|flip| (flip.permission.as_str(), flip.allowed_after)).collect();
    assert_eq!(flips, [("auth.projects.delete", false)]);

    let question = proto::CheckPermissionRequest {
        permission: "registry.promotions.approve".into(),
        resource: "projects/default/models/m".into(),
        ..Default::default()
    };
    let told = suite.access().check_permission(suite.by_admin(question)).await.unwrap().into_inner();
    assert!(told.allowed && told.guardrail.is_empty(), "{told:?}");
}
