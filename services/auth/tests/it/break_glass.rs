use std::time::Duration;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::break_glass_activation::State;
use tonic::{Code, Status};

use crate::suite::{Suite, reason};

const ACME: &str = "organizations/acme";

impl Suite {
    async fn acme(&self) -> [String; 2] {
        let request = proto::CreateOrganizationRequest { organization_id: "acme".into(), ..Default::default() };
        self.organizations().create_organization(self.by_admin(request)).await.unwrap();
        let project =
            proto::CreateProjectRequest { project_id: "acme-1".into(), parent: ACME.into(), ..Default::default() };
        self.projects().create_project(self.by_admin(project)).await.unwrap();
        // What lets somebody declare an emergency, and look at the project otherwise.
        let words =
            ["auth.breakGlass.request", "auth.breakGlass.activate", "auth.breakGlass.end", "auth.breakGlass.get"];
        let role = proto::Role { permissions: words.map(str::to_owned).to_vec(), ..Default::default() };
        let role = proto::CreateRoleRequest {
            parent: ACME.into(),
            role_id: "on-call".into(),
            role: Some(role),
            ..Default::default()
        };
        let role = self.roles().create_role(self.by_admin(role)).await.unwrap().into_inner().name;
        let ada = self.user(Some((&role, ACME))).await;
        let bob = self.user(Some(("roles/org-admin", ACME))).await;
        [ada, bob]
    }

    async fn declare(&self, by: &str, resource: &str) -> Result<proto::BreakGlassActivation, Status> {
        let asked = proto::BreakGlassActivation {
            resource: resource.into(),
            reason: "production is down".into(),
            ticket: "INC-7".into(),
            ..Default::default()
        };
        let request = proto::CreateBreakGlassActivationRequest {
            parent: ACME.into(),
            break_glass_activation: Some(asked),
            ..Default::default()
        };
        Ok(self.emergencies().create_break_glass_activation(self.by_user(by, request)).await?.into_inner())
    }

    async fn agree(&self, by: &str, name: &str) -> Result<proto::BreakGlassActivation, Status> {
        let request = proto::ApproveBreakGlassActivationRequest { name: name.into(), ..Default::default() };
        Ok(self.emergencies().approve_break_glass_activation(self.by_user(by, request)).await?.into_inner())
    }

    async fn take(&self, by: &str, name: &str) -> Result<proto::BreakGlassActivation, Status> {
        let request = proto::ActivateBreakGlassActivationRequest { name: name.into(), ..Default::default() };
        Ok(self.emergencies().activate_break_glass_activation(self.by_user(by, request)).await?.into_inner())
    }

    async fn may(&self, who: &str, permission: &str, resource: &str) -> bool {
        let request = proto::CheckPermissionRequest {
            principal: who.into(),
            permission: permission.into(),
            resource: resource.into(),
            ..Default::default()
        };
        self.access().check_permission(self.by_admin(request)).await.unwrap().into_inner().allowed
    }
}

#[tokio::test]
async fn with_a_second_person_the_role_is_held_at_once_for_an_hour_and_looked_at_afterwards() {
    let suite = Suite::begun().await;
    let [ada, bob] = suite.acme().await;
    let asked = suite.declare(&ada, "projects/acme-1").await.unwrap();
    assert_eq!((asked.state(), asked.principal.as_str()), (State::Requested, ada.as_str()));
    assert!(!suite.may(&ada, "experiments.runs.delete", "projects/acme-1").await);
    let own = suite.agree(&ada, &asked.name).await.unwrap_err();
    assert_eq!(reason(&own), "ACCESS_DENIED", "it takes a right of its own");
    let given = suite.agree(&bob, &asked.name).await.unwrap();
    assert_eq!((given.state(), given.approver.as_str()), (State::Active, bob.as_str()));
    assert!(suite.may(&ada, "experiments.runs.delete", "projects/acme-1/experiments/1/runs/r").await);
    for word in ["auth.apiKeys.create", "ledger.audit.read", "registry.promotions.approve", "auth.bindings.grant"] {
        assert!(!suite.may(&ada, word, "projects/acme-1").await, "{word}");
    }
    assert!(!suite.may(&ada, "experiments.runs.delete", "projects/default").await);
    let again = suite.declare(&ada, "").await.unwrap_err();
    assert_eq!((again.code(), reason(&again).as_str()), (Code::FailedPrecondition, "BREAK_GLASS_STATE"));

    suite.ground.clock.advance(Duration::from_hours(1));
    assert!(!suite.may(&ada, "experiments.runs.delete", "projects/acme-1").await);
    let list = |overdue| proto::ListBreakGlassActivationsRequest { parent: ACME.into(), overdue, ..Default::default() };
    let overdue = async |suite: &Suite| {
        let listed = suite.emergencies().list_break_glass_activations(suite.by_user(&bob, list(true))).await.unwrap();
        listed.into_inner().break_glass_activations.len()
    };
    assert_eq!(overdue(&suite).await, 0);
    suite.ground.clock.advance(Duration::from_hours(5 * 24));
    assert_eq!(overdue(&suite).await, 1);
    let review = proto::ReviewBreakGlassActivationRequest {
        name: asked.name.clone(),
        review: "restarted, nothing else".into(),
        ..Default::default()
    };
    let done = suite.emergencies().review_break_glass_activation(suite.by_user(&bob, review)).await.unwrap();
    let done = done.into_inner();
    assert_eq!((done.state(), done.reviewer.as_str(), done.overdue), (State::Ended, bob.as_str(), false));
    assert_eq!(overdue(&suite).await, 0);
}

#[tokio::test]
async fn alone_it_takes_ten_minutes_and_every_action_says_in_which_emergency_it_was_done() {
    let suite = Suite::begun().await;
    let [ada, _] = suite.acme().await;
    let asked = suite.declare(&ada, "").await.unwrap();
    let early = suite.take(&ada, &asked.name).await.unwrap_err();
    assert_eq!((early.code(), reason(&early).as_str()), (Code::FailedPrecondition, "BREAK_GLASS_TOO_EARLY"));
    suite.ground.clock.advance(Duration::from_mins(10));
    let taken = suite.take(&ada, &asked.name).await.unwrap();
    assert_eq!((taken.state(), taken.approver.as_str()), (State::Active, ""));
    // Whatever she does there now carries its name, by whichever role.
    suite.grant(&ada, "roles/manager", "projects/acme-1").await.unwrap();
    let project = proto::Project { name: "projects/acme-1".into(), title: "t".into(), ..Default::default() };
    let update = proto::UpdateProjectRequest { project: Some(project), ..Default::default() };
    suite.projects().update_project(suite.by_user(&ada, update)).await.unwrap();
    let described = suite.events("ProjectDescribed").await.pop().unwrap();
    assert_eq!(described.metadata().break_glass.as_deref(), Some(asked.name.as_str()));

    let end = proto::EndBreakGlassActivationRequest { name: asked.name.clone(), ..Default::default() };
    let over = suite.emergencies().end_break_glass_activation(suite.by_user(&ada, end)).await.unwrap().into_inner();
    assert_eq!(over.state(), State::Ended);
    assert!(!suite.may(&ada, "experiments.runs.delete", "organizations/acme").await);
    let project = proto::Project { name: "projects/acme-1".into(), title: "u".into(), ..Default::default() };
    let update = proto::UpdateProjectRequest { project: Some(project), ..Default::default() };
    suite.projects().update_project(suite.by_user(&ada, update)).await.unwrap();
    assert_eq!(suite.events("ProjectDescribed").await.pop().unwrap().metadata().break_glass, None);
}

#[tokio::test]
async fn an_emergency_is_a_persons_in_the_organization_and_says_why() {
    let suite = Suite::begun().await;
    let [ada, _] = suite.acme().await;
    let elsewhere = suite.declare(&ada, "projects/default").await.unwrap_err();
    assert_eq!(reason(&elsewhere), "ORGANIZATION_MISMATCH");
    let silent = proto::CreateBreakGlassActivationRequest {
        parent: ACME.into(),
        break_glass_activation: Some(proto::BreakGlassActivation { ticket: "INC-7".into(), ..Default::default() }),
        ..Default::default()
    };
    let refused = suite.emergencies().create_break_glass_activation(suite.by_user(&ada, silent)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let sealed = suite.grant(&ada, "roles/break-glass", "projects/acme-1").await.unwrap_err();
    assert_eq!(reason(&sealed), "ROLE_UNKNOWN", "nobody gives it otherwise");
}
