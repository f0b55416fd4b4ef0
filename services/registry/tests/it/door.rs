//! The contract's services behind the guard, with callers who may do different things.

use std::sync::Arc;

use cairn_access::{Access, Change, Grant, Keyring, Roles, Standing, World};
use cairn_contract::cairn::experiments::events::v1::LoggedModelCreated;
use cairn_contract::cairn::registry::v1 as proto;
use cairn_contract::cairn::registry::v1::model_version_service_client::ModelVersionServiceClient;
use cairn_contract::cairn::registry::v1::promotion_service_client::PromotionServiceClient;
use cairn_contract::cairn::registry::v1::registered_model_service_client::RegisteredModelServiceClient;
use cairn_eventstore::{Commands, EventStore, Memory};
use cairn_kernel::{Clock, Position, Principal, PrincipalKind, SystemClock};
use cairn_objects::Signer;
use cairn_registry::{Config, Settings, functions, hooks, mount};
use cairn_service::guard::{GuardLayer, Limits, PRINCIPAL};
use cairn_service::{Deps, InProcess};
use proto::promotion_move::Target;
use tempfile::TempDir;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::support::hear;

/// A person who works in the project, two who manage it, one given that role only later, and the administrator.
const ADA: &str = "users/ada";
const BOB: &str = "users/bob";
const EVE: &str = "users/eve";
const LATE: &str = "users/late";
const ROOT: &str = "users/root";
/// Sees one model.
const VISITOR: &str = "users/visitor";
const PROJECT_POLICY: &str = "projects/p/promotionPolicies/default";

struct Door {
    process: InProcess,
    access: Arc<Access>,
    store: Arc<dyn EventStore>,
    _folder: TempDir,
}

impl Door {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, clock): (Arc<dyn EventStore>, Arc<dyn Clock>) = (Arc::new(Memory::new()), Arc::new(SystemClock));
        let access = Access::fixed(world(), Arc::clone(&clock), Arc::new(Keyring::generate()));
        let deps = Deps {
            commands: Commands::new(Arc::clone(&store), Arc::clone(&clock), 1 << 20),
            store: Arc::clone(&store),
            access: Arc::clone(&access),
            clock,
            views_folder: folder.path().to_owned(),
            keeps_past: true,
        };
        let objects = Arc::new(cairn_objects::Memory::new(Signer::new(&[1; 32], "http://localhost")));
        let (functions, hooks) = (functions::Config::default(), hooks::Config::default());
        let settings = Settings { registry: Config::default(), functions, hooks, objects };
        let mounted = mount(&deps, settings, folder.path()).unwrap();
        let process = InProcess::new(GuardLayer::new(&deps, Limits::default()).unwrap(), [mounted.routes]);
        Self { process, access, store, _folder: folder }
    }

    fn by<T>(&self, principal: &str, message: T) -> Request<T> {
        let principal =
            Principal { name: principal.into(), kind: PrincipalKind::User, credential: None, scopes: vec![] };
        let mut request = Request::new(message);
        request.metadata_mut().insert(PRINCIPAL, self.access.sign(&principal).unwrap().parse().unwrap());
        request
    }

    fn models(&self) -> RegisteredModelServiceClient<InProcess> {
        RegisteredModelServiceClient::new(self.process.clone())
    }

    fn versions(&self) -> ModelVersionServiceClient<InProcess> {
        ModelVersionServiceClient::new(self.process.clone())
    }

    fn promotions(&self) -> PromotionServiceClient<InProcess> {
        PromotionServiceClient::new(self.process.clone())
    }

    /// A model with so many versions.
    async fn model(&self, id: &str, versions: u32) -> String {
        let message = proto::CreateRegisteredModelRequest {
            parent: "projects/p".into(),
            registered_model_id: id.into(),
            ..Default::default()
        };
        let name = self.models().create_registered_model(self.by(ADA, message)).await.unwrap().into_inner().name;
        for _ in 0..versions {
            let message = proto::CreateModelVersionRequest { parent: name.clone(), ..Default::default() };
            self.versions().create_model_version(self.by(ADA, message)).await.unwrap();
        }
        name
    }

    async fn set_policy(&self, principal: &str, terms: proto::PromotionTerms) -> Result<(), Status> {
        let policy = proto::PromotionPolicy { name: PROJECT_POLICY.into(), terms: Some(terms), ..Default::default() };
        let message = proto::UpdatePromotionPolicyRequest { promotion_policy: Some(policy), ..Default::default() };
        self.promotions().update_promotion_policy(self.by(principal, message)).await.map(drop)
    }

    async fn set_alias(&self, principal: &str, model: &str, version: u32) -> Result<(), Status> {
        let message =
            proto::SetModelAliasRequest { name: model.into(), alias: "champion".into(), version, ..Default::default() };
        self.models().set_model_alias(self.by(principal, message)).await.map(drop)
    }

    async fn ask(&self, model: &str, version: u32) -> proto::Promotion {
        let message =
            proto::CreatePromotionRequest { parent: model.into(), moves: champion(version), ..Default::default() };
        self.promotions().create_promotion(self.by(ADA, message)).await.unwrap().into_inner()
    }

    async fn approve(&self, principal: &str, promotion: &str) -> Result<proto::Promotion, Status> {
        let message = proto::ApprovePromotionRequest { name: promotion.into(), ..Default::default() };
        Ok(self.promotions().approve_promotion(self.by(principal, message)).await?.into_inner())
    }
}

fn world() -> World {
    let mut world = World::default();
    world.apply(Change::ProjectOpened { project: "projects/p".parse().unwrap() }, Position(1));
    for (principal, role, resource, given) in [
        (ADA, "roles/editor", "projects/p", 2),
        (BOB, "roles/manager", "projects/p", 2),
        (EVE, "roles/manager", "projects/p/models/a", 2),
        (LATE, "roles/manager", "projects/p", 1_000_000),
        (ROOT, "roles/admin", "*", 2),
        (VISITOR, "roles/viewer", "projects/p/models/b", 2),
    ] {
        world.apply(Change::PrincipalIs { principal: principal.into(), standing: Standing::Active }, Position(1));
        let grant = Grant {
            binding: format!("bindings/{principal}"),
            role: Roles::built_in().find(role).cloned(),
            resource: resource.parse().unwrap(),
            ..Grant::default()
        };
        world.apply(Change::Granted { principal: principal.into(), grant }, Position(given));
    }
    world
}

fn champion(version: u32) -> Vec<proto::PromotionMove> {
    vec![proto::PromotionMove { version, target: Some(Target::Alias("champion".into())) }]
}

fn protecting(approvals: u32) -> proto::PromotionTerms {
    proto::PromotionTerms {
        protected_aliases: vec!["champion".into()],
        protected_stages: vec![proto::Stage::Production.into()],
        approvals_required: approvals,
        ..Default::default()
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test]
async fn a_protected_alias_moves_by_the_approval_of_two_others_who_held_the_role_then() {
    let door = Door::new();
    let model = door.model("a", 2).await;
    door.set_alias(ADA, &model, 1).await.unwrap();
    door.set_policy(BOB, protecting(2)).await.unwrap();
    for principal in [ADA, BOB, ROOT] {
        let refused = door.set_alias(principal, &model, 2).await.unwrap_err();
        assert_eq!(reason(&refused), "TARGET_PROTECTED", "{principal}");
    }
    let asked = door.ask(&model, 2).await;
    assert_eq!(asked.unmet_conditions[0].message, "0 of 2 approvals");
    // Who may not approve at all, the guard turns away; who may not approve this, the model.
    let refused = door.approve(ADA, &asked.name).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ACCESS_DENIED"));
    assert_eq!(reason(&door.approve(LATE, &asked.name).await.unwrap_err()), "APPROVER_ROLE_TOO_RECENT");
    let once = door.approve(BOB, &asked.name).await.unwrap();
    assert_eq!(once.state(), proto::PromotionState::Pending);
    assert_eq!(door.approve(BOB, &asked.name).await.unwrap().approvals.len(), 1);
    let done = door.approve(EVE, &asked.name).await.unwrap();
    assert_eq!((done.state(), done.approvals.len()), (proto::PromotionState::Completed, 2));
    let message =
        proto::ResolveModelVersionRequest { name: model.clone(), alias: "champion".into(), ..Default::default() };
    let now = door.models().resolve_model_version(door.by(VISITOR, message)).await;
    assert_eq!(now.unwrap_err().code(), Code::PermissionDenied);
    let message = proto::ResolveModelVersionRequest { name: model, alias: "champion".into(), ..Default::default() };
    let now = door.models().resolve_model_version(door.by(ADA, message)).await.unwrap().into_inner();
    assert_eq!(now.version, 2);
}

#[tokio::test]
async fn a_manager_cannot_loosen_a_policy_and_only_the_administrator_does_without_it() {
    let door = Door::new();
    let model = door.model("a", 2).await;
    door.set_policy(BOB, protecting(1)).await.unwrap();
    assert_eq!(reason(&door.set_policy(BOB, proto::PromotionTerms::default()).await.unwrap_err()), "POLICY_RELAXED");
    assert_eq!(door.set_policy(ADA, protecting(2)).await.unwrap_err().code(), Code::PermissionDenied);
    let editors = proto::PromotionTerms { approver_roles: vec!["roles/editor".into()], ..protecting(1) };
    assert_eq!(reason(&door.set_policy(ROOT, editors).await.unwrap_err()), "VALIDATION_ERROR");

    let bypass = |justification: &str| proto::BypassPromotionRequest {
        name: model.clone(),
        moves: champion(2),
        justification: justification.into(),
        ..Default::default()
    };
    let refused = door.promotions().bypass_promotion(door.by(BOB, bypass("outage"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = door.promotions().bypass_promotion(door.by(ROOT, bypass(" "))).await.unwrap_err();
    assert_eq!(reason(&refused), "VALIDATION_ERROR");
    door.promotions().bypass_promotion(door.by(ROOT, bypass("outage"))).await.unwrap();
    door.set_policy(ROOT, proto::PromotionTerms::default()).await.unwrap();
    door.set_alias(ADA, &model, 1).await.unwrap();
}

#[tokio::test]
async fn a_promotion_is_withdrawn_by_who_asked_and_rejected_by_who_may_approve() {
    let door = Door::new();
    let model = door.model("a", 2).await;
    door.set_policy(BOB, protecting(1)).await.unwrap();
    let asked = door.ask(&model, 2).await;
    let withdraw = |name: &str| proto::WithdrawPromotionRequest { name: name.into(), ..Default::default() };
    let refused = door.promotions().withdraw_promotion(door.by(BOB, withdraw(&asked.name))).await.unwrap_err();
    assert_eq!(reason(&refused), "PROMOTION_NOT_OWN");
    let withdrawn = door.promotions().withdraw_promotion(door.by(ADA, withdraw(&asked.name))).await.unwrap();
    assert_eq!(withdrawn.into_inner().state(), proto::PromotionState::Withdrawn);

    let asked = door.ask(&model, 2).await;
    let message =
        proto::RejectPromotionRequest { name: asked.name.clone(), comment: "not yet".into(), ..Default::default() };
    let rejected = door.promotions().reject_promotion(door.by(BOB, message)).await.unwrap().into_inner();
    assert_eq!((rejected.ender.as_str(), rejected.end_comment.as_str()), (BOB, "not yet"));
    assert_eq!(reason(&door.approve(BOB, &asked.name).await.unwrap_err()), "PROMOTION_ENDED");
    let message = proto::ListPromotionsRequest { parent: model, page_size: 1, ..Default::default() };
    let first = door.promotions().list_promotions(door.by(ADA, message.clone())).await.unwrap().into_inner();
    let message = proto::ListPromotionsRequest { page_token: first.next_page_token, ..message };
    let second = door.promotions().list_promotions(door.by(ADA, message)).await.unwrap().into_inner();
    assert_eq!((first.promotions.len(), second.promotions.len()), (1, 1));
    assert!(second.next_page_token.is_empty());
}

#[tokio::test]
async fn nobody_learns_by_registering_it_what_files_a_logged_model_has_that_they_may_not_read() {
    let door = Door::new();
    let model = door.model("a", 0).await;
    let logged = LoggedModelCreated { model: "projects/p/experiments/1/loggedModels/m-1".into(), ..Default::default() };
    hear(&*door.store, "experiments.logged_model-projects/p/loggedModels/m-1", logged).await;
    let register = async |principal: &str| {
        let version = proto::ModelVersion { source_uri: "models:/m-1".into(), ..Default::default() };
        let message = proto::CreateModelVersionRequest {
            parent: model.clone(),
            model_version: Some(version),
            ..Default::default()
        };
        door.versions().create_model_version(door.by(principal, message)).await
    };
    assert!(register(ADA).await.is_ok());
    assert_eq!(register(EVE).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_list_shows_a_caller_only_what_it_may_see() {
    let door = Door::new();
    door.model("a", 1).await;
    door.model("b", 2).await;
    let list = async |principal: &str| {
        let message = proto::ListRegisteredModelsRequest { parent: "projects/p".into(), ..Default::default() };
        let page = door.models().list_registered_models(door.by(principal, message)).await.unwrap().into_inner();
        page.registered_models.into_iter().map(|model| model.display_name).collect::<Vec<_>>()
    };
    assert_eq!(list(ADA).await, ["a", "b"]);
    assert_eq!(list(VISITOR).await, ["b"]);
    let message = proto::ListModelVersionsRequest { parent: "projects/p".into(), ..Default::default() };
    let page = door.versions().list_model_versions(door.by(VISITOR, message)).await.unwrap().into_inner();
    let names: Vec<_> = page.model_versions.iter().map(|version| version.name.as_str()).collect();
    assert_eq!(names, ["projects/p/models/b/versions/2", "projects/p/models/b/versions/1"]);
}

#[tokio::test]
async fn an_update_changes_what_its_mask_names_and_refuses_what_cannot_be_changed() {
    let door = Door::new();
    let name = door.model("a", 1).await;
    let update = async |model: proto::RegisteredModel, paths: &[&str]| {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let update_mask = Some(prost_types::FieldMask { paths });
        let registered_model = Some(model);
        let message = proto::UpdateRegisteredModelRequest { registered_model, update_mask, ..Default::default() };
        door.models().update_registered_model(door.by(ADA, message)).await.map(|answer| answer.into_inner())
    };
    let model = proto::RegisteredModel { name: name.clone(), description: "d".into(), ..Default::default() };
    let changed = update(model.clone(), &["description"]).await.unwrap();
    assert_eq!((changed.display_name.as_str(), changed.description.as_str()), ("a", "d"));
    assert_eq!(reason(&update(model.clone(), &["tags"]).await.unwrap_err()), "VALIDATION_ERROR");
    let stale = proto::RegisteredModel { etag: "999".into(), ..model };
    assert_eq!(reason(&update(stale, &["description"]).await.unwrap_err()), "ETAG_MISMATCH");
}
