//! The files of versions and the signature over them. The signature is one that the genuine tool made.

use std::sync::Arc;

use cairn_contract::cairn::experiments::events::v1 as events;
use cairn_contract::cairn::registry::events::v1::{CountedSignature, PromotionCompleted, SigningPolicySet};
use cairn_eventstore::{Direction, EventStore, Filter};
use cairn_kernel::{Code, Expected, Position};
use cairn_objects::{Digest, Expect, of_bytes};
use cairn_registry::Config;
use cairn_registry::app::{NewSigningPolicy, NewVersion, PromotionStatus};
use cairn_registry::model::signing::TrustedKey;
use cairn_registry::model::version::{Artifact, Facts, Manifest, SignatureCheck};
use cairn_registry::model::{
    Alias, Approver, ModelName, Move, Number, PolicyScope, PromotionName, Target, Terms, VersionName,
};
use cairn_registry::query::PromotionState;
use cairn_service::Refusal;
use prost::{Message, Name};

use crate::support::{Service, by, call, project, request};

const SIGNATURE: &[u8] = include_bytes!("../fixtures/model.sig");
const KEY: &str = include_str!("../fixtures/release.pub");
const OWNER: &str = "projects/p/experiments/1/loggedModels/m-1";
/// What was signed.
const FILES: [(&str, &[u8]); 2] = [("a", b"a\n"), ("d/b", b"b\n")];

impl Service {
    /// Stores a file of the logged model.
    async fn record(&self, path: &str, bytes: &'static [u8]) {
        let object_key = format!("p/{}", uuid::Uuid::new_v4().simple());
        let key = object_key.parse().unwrap();
        self.objects.put(&key, of_bytes(bytes), Expect::at_most(1 << 20)).await.unwrap();
        let file = events::ArtifactRecorded {
            owner: OWNER.into(),
            path: path.into(),
            object_key,
            size_bytes: bytes.len() as u64,
            sha256: Digest::of(bytes).to_string(),
            media_type: String::new(),
        };
        self.hear(&format!("experiments.artifact-{OWNER}/{path}"), file).await;
    }

    /// A logged model as it was signed.
    async fn signed() -> Self {
        let service = Self::new();
        for (path, bytes) in FILES {
            service.record(path, bytes).await;
        }
        service.record("model.sig", SIGNATURE).await;
        service
    }

    async fn register(&self, model: &ModelName) -> Result<VersionName, Refusal> {
        let facts = Facts { artifact_uri: "mlflow-artifacts:/1/models/m-1/artifacts".into(), ..Facts::default() };
        let new = NewVersion { facts, ..NewVersion::default() };
        Ok(self.app.create_version(&call(), model, new).await?.value.name)
    }

    async fn facts(&self, name: &VersionName) -> Arc<Facts> {
        self.app.version(&call(), name).await.unwrap().facts
    }

    async fn trust(&self, scope: PolicyScope, is_trusted: bool, is_required: bool) {
        let keys = [TrustedKey { name: "release".into(), key: KEY.parse().unwrap() }];
        let keys = keys.into_iter().filter(|_| is_trusted).collect();
        let new = NewSigningPolicy { keys, is_required };
        self.app.set_signing_policy(&call(), &scope, Expected::Any, new).await.unwrap();
    }

    /// The paths of a version's files, page by page.
    async fn paths(&self, name: &VersionName, limit: usize) -> Vec<String> {
        let (mut paths, mut token) = (vec![], String::new());
        loop {
            let page = self.app.version_artifacts(&call(), name, limit, &token).await.unwrap();
            paths.extend(page.artifacts.into_iter().map(|Artifact { path, .. }| path));
            token = page.next_page_token;
            if token.is_empty() {
                return paths;
            }
        }
    }
}

/// What promotions that demand a signature wait for, after a model's two versions: one that is signed, one that is not.
struct Guarded {
    service: Service,
    model: ModelName,
}

impl Guarded {
    async fn new() -> Self {
        let service = Service::signed().await;
        service.trust(of_project(), true, false).await;
        let model = service.model("m").await;
        service.register(&model).await.unwrap();
        service.version(&model, &[], &[]).await;
        let terms = Terms { aliases: [champion()].into(), needs_signature: true, ..Terms::default() };
        service.app.set_policy(&call(), &of_project(), Expected::Any, terms, false).await.unwrap();
        Self { service, model }
    }

    async fn ask(&self, version: u32) -> PromotionStatus {
        let moves = vec![Move { version: Number(version), target: Target::Alias(champion()) }];
        self.service.app.request_promotion(&by("users/ada"), &self.model, moves, "").await.unwrap().value
    }

    async fn approve(&self, name: &PromotionName) -> Result<PromotionStatus, Refusal> {
        let held = vec![("roles/manager".into(), Position(1))];
        let bob = Approver { principal: "users/bob".into(), is_person: true, held };
        Ok(self.service.app.approve_promotion(&by("users/bob"), name, bob, "").await?.value)
    }

    /// What a promotion lacks, for machines and for people.
    async fn lacks(&self, name: &PromotionName) -> Vec<(&'static str, String)> {
        let status = self.service.app.promotion(&call(), name).await.unwrap();
        status.unmet.iter().map(|unmet| (unmet.kind(), unmet.to_string())).collect()
    }

    /// The events that a type has in the log, oldest first, each with its position.
    async fn told<M: Message + Name + Default>(&self) -> Vec<(Position, M)> {
        let page = self.service.store.read_all(Position(0), Direction::Forwards, &Filter::all(), 10_000).await.unwrap();
        let of_it = page.events.into_iter().filter(|event| &*event.kind == M::full_name().as_str());
        of_it.map(|event| (event.position, M::decode(event.payload.as_ref()).unwrap())).collect()
    }
}

fn champion() -> Alias {
    "champion".parse().unwrap()
}

fn of_project() -> PolicyScope {
    PolicyScope::Project(project())
}

#[tokio::test]
async fn a_version_keeps_the_files_that_it_had_when_it_was_registered() {
    let service = Service::signed().await;
    service.record("gone", b"x").await;
    let gone = events::ArtifactDeleted { owner: OWNER.into(), path: "gone".into() };
    service.hear(&format!("experiments.artifact-{OWNER}/gone"), gone).await;
    let model = service.model("m").await;
    let name = service.register(&model).await.unwrap();
    let facts = service.facts(&name).await;
    assert!(matches!(facts.manifest, Manifest::Known { count: 3, .. }), "{:?}", facts.manifest);
    service.record("d/b", b"other").await;
    service.record("more", b"y").await;
    assert_eq!(service.facts(&name).await.manifest, facts.manifest);
    for limit in [1, 2, 3, 100] {
        assert_eq!(service.paths(&name, limit).await, ["a", "d/b", "model.sig"]);
    }
    // A view that is built from the log tells the same.
    let again = Service::over(service.store.clone());
    again.view.reached(service.head(), call().deadline).await.unwrap();
    assert_eq!(again.paths(&name, 100).await, ["a", "d/b", "model.sig"]);
    assert_eq!(again.facts(&name).await, facts);
}

#[tokio::test]
async fn the_genuine_tools_signature_is_verified_by_a_trusted_key_and_noted_without_one() {
    let service = Service::signed().await;
    let model = service.model("m").await;
    let first = service.register(&model).await.unwrap();
    assert!(matches!(service.facts(&first).await.signature_check, SignatureCheck::Untrusted { .. }));
    service.trust(of_project(), true, false).await;
    let second = service.register(&model).await.unwrap();
    let fingerprint = Digest::of(KEY.as_bytes()).to_string();
    let sha256 = Digest::of(SIGNATURE).to_string();
    let verified = SignatureCheck::Verified { key: "release".into(), fingerprint, sha256 };
    assert_eq!(service.facts(&second).await.signature_check, verified);
    // What was found stays as it was found.
    service.trust(of_project(), false, false).await;
    assert_eq!(service.facts(&second).await.signature_check, verified);
}

#[tokio::test]
async fn a_file_that_is_not_as_it_was_signed_refuses_the_version_and_leaves_no_trace() {
    let service = Service::signed().await;
    let model = service.model("m").await;
    service.record("d/b", b"changed").await;
    let head = service.head();
    let refused = service.register(&model).await.unwrap_err();
    assert_eq!((refused.code, refused.reason), (Code::FailedPrecondition, "MODEL_SIGNATURE_MISMATCH"));
    assert!(refused.message.contains("d/b"), "{}", refused.message);
    assert_eq!(service.head(), head);
}

#[tokio::test]
async fn where_a_signature_is_required_of_a_project_or_a_model_nothing_else_is_registered() {
    for is_models in [false, true] {
        let service = Service::signed().await;
        let model = service.model("m").await;
        let scope = if is_models { PolicyScope::Model(model.clone()) } else { of_project() };
        service.trust(scope.clone(), false, true).await;
        assert_eq!(service.register(&model).await.unwrap_err().reason, "MODEL_SIGNATURE_UNTRUSTED");
        service.trust(of_project(), true, !is_models).await;
        assert!(service.register(&model).await.is_ok());
        let facts = Facts { artifact_uri: "s3://bucket/model".into(), ..Facts::default() };
        let new = NewVersion { facts, ..NewVersion::default() };
        let refused = service.app.create_version(&call(), &model, new).await.unwrap_err();
        assert_eq!(refused.reason, "MODEL_SIGNATURE_MISSING");
        let other = service.model("other").await;
        assert_eq!(service.app.create_version(&call(), &other, NewVersion::default()).await.is_ok(), is_models);
    }
}

#[tokio::test]
async fn a_repeated_request_is_answered_as_before_though_a_signature_is_required_by_now() {
    let service = Service::new();
    let model = service.model("m").await;
    let made = service.app.create_version(&request("once"), &model, NewVersion::default()).await.unwrap();
    service.trust(of_project(), true, true).await;
    let again = service.app.create_version(&request("once"), &model, NewVersion::default()).await.unwrap();
    assert_eq!(again.value.name, made.value.name);
}

#[tokio::test]
async fn too_many_files_and_too_large_a_signature_are_said_so() {
    let service = Service::with(Config { files_per_version_max: 1, ..Config::default() });
    let model = service.model("m").await;
    service.record("a", b"a").await;
    let one = service.register(&model).await.unwrap();
    assert!(matches!(service.facts(&one).await.manifest, Manifest::Known { count: 1, .. }));
    service.record("b", b"b").await;
    let two = service.register(&model).await.unwrap();
    assert_eq!(service.facts(&two).await.manifest, Manifest::TooMany);
    assert!(service.paths(&two, 100).await.is_empty());

    let service = Service::with(Config { signature_bytes_max: 16, ..Config::default() });
    let model = service.model("m").await;
    service.record("model.sig", SIGNATURE).await;
    let refused = service.register(&model).await.unwrap_err();
    assert_eq!(refused.reason, "MODEL_SIGNATURE_INVALID");
    assert!(refused.message.contains("larger than 16 bytes"), "{}", refused.message);
}

#[tokio::test]
async fn a_deleted_version_takes_its_list_of_files_with_it() {
    let service = Service::signed().await;
    let model = service.model("m").await;
    let name = service.register(&model).await.unwrap();
    service.app.delete_version(&call(), &name, Expected::Any).await.unwrap();
    let refused = service.app.version_artifacts(&call(), &name, 10, "").await.unwrap_err();
    assert_eq!(refused.reason, "MODEL_VERSION_NOT_FOUND");
}

#[tokio::test]
async fn a_promotion_that_demands_a_signature_moves_by_a_key_that_is_trusted_when_it_is_decided() {
    let guarded = Guarded::new().await;
    let unsigned = guarded.ask(2).await.record.name;
    let approvals = ("APPROVALS", "0 of 1 approvals".to_owned());
    let absent = ("SIGNATURE", "version 2 has no signature that counts: it is not signed".to_owned());
    assert_eq!(guarded.lacks(&unsigned).await, [approvals.clone(), absent.clone()]);
    assert_eq!(guarded.approve(&unsigned).await.unwrap().record.state, PromotionState::Pending);
    assert_eq!(guarded.lacks(&unsigned).await, [absent]);

    let signed = guarded.ask(1).await.record.name;
    assert_eq!(guarded.lacks(&signed).await, [approvals]);
    // The key is taken back between registration and decision: somebody's yes is noted, and nothing moves.
    guarded.service.trust(of_project(), false, false).await;
    assert_eq!(guarded.approve(&signed).await.unwrap().record.state, PromotionState::Pending);
    let key = Digest::of(KEY.as_bytes());
    let problem = format!("version 1 has no signature that counts: key release ({key}) is trusted no longer");
    assert_eq!(guarded.lacks(&signed).await, [("SIGNATURE", problem.clone())]);
    let refused = guarded.service.app.complete_promotion(&by("users/ada"), &signed).await.unwrap_err();
    assert_eq!(refused.reason, "PROMOTION_CONDITIONS_UNMET");
    assert!(refused.message.contains(&problem), "{}", refused.message);
    // A policy of signatures is none of promotions: what waits is not void. The model trusts the key from now on.
    guarded.service.trust(PolicyScope::Model(guarded.model.clone()), true, false).await;
    let done = guarded.service.app.complete_promotion(&by("users/ada"), &signed).await.unwrap().value;
    assert_eq!(done.record.state, PromotionState::Completed);
    let [(_, completed)] = guarded.told::<PromotionCompleted>().await.try_into().unwrap();
    let counted = CountedSignature {
        version: 1,
        key_fingerprint: key.to_string(),
        trusted_by: guarded.model.to_string(),
        policy_revision: 0,
    };
    assert_eq!(completed.signatures, [counted]);
    // What was asked for another version is judged by its own.
    assert_eq!(guarded.lacks(&unsigned).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_withdrawal_and_decision_race_nothing_moves_by_a_key_that_the_log_no_longer_trusts() {
    const TURNS: usize = 100;
    let guarded = Arc::new(Guarded::new().await);
    for turn in 0..TURNS {
        // It waits for nothing but the key.
        guarded.service.trust(of_project(), false, false).await;
        let name = guarded.ask(1).await.record.name;
        guarded.approve(&name).await.unwrap();
        guarded.service.trust(of_project(), true, false).await;
        let (one, other) = (Arc::clone(&guarded), Arc::clone(&guarded));
        let complete = async move { one.service.app.complete_promotion(&by("users/ada"), &name).await.map(drop) };
        let withdraw = async move { other.service.trust(of_project(), false, false).await };
        // Who begins has the better chance.
        let (completed, withdrawn) = match turn % 2 {
            0 => (tokio::spawn(complete), tokio::spawn(withdraw)),
            _ => {
                let withdrawn = tokio::spawn(withdraw);
                (tokio::spawn(complete), withdrawn)
            }
        };
        withdrawn.await.unwrap();
        if let Err(refused) = completed.await.unwrap() {
            assert_eq!(refused.reason, "PROMOTION_CONDITIONS_UNMET");
        }
    }
    // One policy after the other, and what was carried out while each was in force.
    let mut is_trusted = false;
    let mut told: Vec<(Position, Option<bool>)> = vec![];
    told.extend(guarded.told::<SigningPolicySet>().await.into_iter().map(|(at, set)| (at, Some(!set.keys.is_empty()))));
    told.extend(guarded.told::<PromotionCompleted>().await.into_iter().map(|(at, _)| (at, None)));
    told.sort_by_key(|(at, _)| *at);
    for (at, set) in &told {
        match set {
            Some(trusts) => is_trusted = *trusts,
            None => assert!(is_trusted, "carried out at {at} by a key that was withdrawn"),
        }
    }
    assert!(told.iter().any(|(_, set)| set.is_none()), "nothing was ever carried out");
}
