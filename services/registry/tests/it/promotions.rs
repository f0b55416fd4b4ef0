use std::sync::Arc;
use std::time::Duration;

use cairn_kernel::{Clock, Expected, Position};
use cairn_registry::model::{Alias, Approver, ModelName, Move, Number, PolicyScope, Stage, Target, Terms, Threshold};
use cairn_registry::query::PromotionState;

use crate::support::{Service, by, call, project};

fn champion() -> Alias {
    "champion".parse().unwrap()
}

fn to_champion(version: u32) -> Vec<Move> {
    vec![Move { version: Number(version), target: Target::Alias(champion()) }]
}

fn manager(principal: &str, since: u64) -> Approver {
    Approver { principal: principal.into(), is_person: true, held: vec![("roles/manager".into(), Position(since))] }
}

/// A model with two versions, the first of them champion, in a project where that takes somebody else's yes.
async fn guarded(terms: Terms) -> (Service, ModelName) {
    let service = Service::new();
    let model = service.model("a").await;
    let first = service.version(&model, &[], &[("auc", 0.8)]).await;
    service.version(&model, &[], &[("auc", 0.95)]).await;
    service.set_alias(&first, "champion").await;
    let scope = PolicyScope::Project(project());
    let terms = Terms { aliases: [champion()].into(), stages: [Stage::Production].into(), ..terms };
    service.app.set_policy(&call(), &scope, Expected::Any, terms, false).await.unwrap();
    (service, model)
}

#[tokio::test]
async fn a_second_person_lets_the_alias_move_and_the_former_champion_is_archived_in_one_append() {
    let (service, model) = guarded(Terms::default()).await;
    let refused = service.app.set_alias(&call(), &model, Expected::Any, &champion(), Number(2)).await.unwrap_err();
    assert_eq!(refused.reason, "TARGET_PROTECTED");
    assert!(refused.message.contains("POST /api/v1/projects/p/models/a/promotions"), "{}", refused.message);

    let asked = service.app.request_promotion(&by("users/ada"), &model, to_champion(2), "better").await.unwrap().value;
    assert_eq!(asked.unmet.iter().map(|unmet| unmet.kind()).collect::<Vec<_>>(), ["APPROVALS"]);
    let name = asked.record.name.clone();
    let own = service.app.approve_promotion(&by("users/ada"), &name, manager("users/ada", 1), "").await.unwrap_err();
    assert_eq!(own.reason, "PROMOTION_OWN");
    let late = service.app.approve_promotion(&by("users/bob"), &name, manager("users/bob", 999), "").await.unwrap_err();
    assert_eq!(late.reason, "APPROVER_ROLE_TOO_RECENT");

    let before = service.head();
    let done = service.app.approve_promotion(&by("users/bob"), &name, manager("users/bob", 1), "fine").await.unwrap();
    assert_eq!(done.value.record.state, PromotionState::Completed);
    assert_eq!(done.value.record.approvals[0].approver, "users/bob");
    // Approved, moved, archived, completed: one append.
    assert_eq!(service.head().0, before.0 + 4);
    let after = service.app.model(&call(), &model).await.unwrap();
    assert_eq!(after.aliases["champion"], Number(2));
    let former = service.app.version(&call(), &model.version(Number(1))).await.unwrap();
    assert_eq!((former.stage, former.aliases), (Stage::Archived, vec![]));
}

#[tokio::test]
async fn who_asks_for_the_same_again_gets_the_same_promotion() {
    let (service, model) = guarded(Terms::default()).await;
    let ask = async |who: &str| {
        service.app.request_promotion(&by(who), &model, to_champion(2), "").await.unwrap().value.record.name
    };
    let first = ask("users/ada").await;
    assert_eq!(ask("users/ada").await, first);
    assert_ne!(ask("users/bob").await, first);
}

#[tokio::test]
async fn metrics_and_calm_hold_a_promotion_back_and_are_listed() {
    let calm = Duration::from_secs(60);
    let thresholds = vec![Threshold { metric: "auc".into(), min: Some(0.9), max: None }];
    let (service, model) = guarded(Terms { calm, thresholds, ..Terms::default() }).await;
    let ask = async |version| service.app.request_promotion(&by("users/ada"), &model, to_champion(version), "").await;
    let good = ask(2).await.unwrap().value;
    let kinds = |status: &cairn_registry::app::PromotionStatus| {
        status.unmet.iter().map(|unmet| unmet.kind()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&good), ["APPROVALS", "CALM_PERIOD"]);
    let name = good.record.name;
    let approved = service.app.approve_promotion(&by("users/bob"), &name, manager("users/bob", 1), "").await.unwrap();
    assert_eq!(kinds(&approved.value), ["CALM_PERIOD"]);
    let refused = service.app.complete_promotion(&by("users/ada"), &name).await.unwrap_err();
    assert_eq!(refused.reason, "PROMOTION_CONDITIONS_UNMET");
    service.clock.advance(calm);
    let done = service.app.complete_promotion(&by("users/ada"), &name).await.unwrap().value;
    assert_eq!(done.record.state, PromotionState::Completed);

    let bad = ask(1).await.unwrap().value;
    assert_eq!(kinds(&bad), ["APPROVALS", "METRIC", "CALM_PERIOD"]);
}

#[tokio::test]
async fn a_promotion_expires_by_itself_and_is_listed_as_that() {
    let (service, model) = guarded(Terms::default()).await;
    let asked = service.app.request_promotion(&by("users/ada"), &model, to_champion(2), "").await.unwrap().value;
    let list = async |state| {
        let now = service.clock.now();
        let page = service.app.query().promotions(&model, state, now, 10, "").await.unwrap();
        page.promotions.len()
    };
    assert_eq!((list(Some(PromotionState::Pending)).await, list(Some(PromotionState::Expired)).await), (1, 0));
    service.clock.advance(asked.record.terms.lifetime);
    assert_eq!((list(Some(PromotionState::Pending)).await, list(Some(PromotionState::Expired)).await), (0, 1));
    let name = asked.record.name;
    let late = service.app.approve_promotion(&by("users/bob"), &name, manager("users/bob", 1), "").await.unwrap_err();
    assert_eq!(late.reason, "PROMOTION_ENDED");
}

#[tokio::test]
async fn a_policy_of_the_model_counts_before_its_projects_and_only_who_may_do_without_loosens_it() {
    let (service, model) = guarded(Terms::default()).await;
    let scope = PolicyScope::Model(model.clone());
    let inherited = service.app.policy(&call(), &scope).await.unwrap();
    assert_eq!((inherited.inherited_from, inherited.terms.approvals), (Some(project()), 1));
    let set =
        async |terms: Terms, may_relax| service.app.set_policy(&call(), &scope, Expected::Any, terms, may_relax).await;
    assert_eq!(set(Terms::default(), false).await.unwrap_err().reason, "POLICY_RELAXED");
    let strict = Terms { approvals: 2, ..Terms::clone(&inherited.terms) };
    let own = set(strict.clone(), false).await.unwrap().value;
    assert_eq!((own.inherited_from, own.terms), (None, Arc::new(strict)));
    let loose = set(Terms::default(), true).await.unwrap().value;
    assert!(!loose.terms.protects_anything());
    service.app.set_alias(&call(), &model, Expected::Any, &champion(), Number(2)).await.unwrap();
}

#[tokio::test]
async fn a_bypass_moves_at_once_and_stands_in_the_log_as_what_it_is() {
    let (service, model) = guarded(Terms::default()).await;
    let at = service.app.bypass_promotion(&by("users/root"), &model, to_champion(2), "outage").await.unwrap();
    let moved = service.app.model(&call(), &model).await.unwrap();
    assert_eq!(moved.aliases["champion"], Number(2));
    let kinds = service.kinds_before(at, 3).await;
    assert_eq!(kinds, ["PromotionBypassed", "AliasMoved", "StageMoved"]);
}
