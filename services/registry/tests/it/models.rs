use std::collections::BTreeMap;
use std::time::Duration;

use cairn_kernel::{Expected, Revision};
use cairn_registry::app::{ModelChange, NewVersion};
use cairn_registry::model::version::Facts;
use cairn_registry::model::{Number, Stage};

use crate::support::{Service, call, new_model, pairs, project, request};

fn renamed(display_name: &str) -> ModelChange {
    ModelChange { display_name: Some(display_name.parse().unwrap()), ..ModelChange::default() }
}

#[tokio::test]
async fn a_model_is_registered_read_listed_changed_and_deleted() {
    let service = Service::new();
    let name = service.model("fraud detector").await;
    assert_eq!(name.as_str(), "projects/p/models/fraud~20detector");
    let change = ModelChange {
        description: Some("finds *fraud*".into()),
        set_tags: pairs(&[("team", "risk"), ("old", "1")]),
        ..ModelChange::default()
    };
    let changed = service.app.change_model(&call(), &name, Expected::Any, change).await.unwrap().value;
    assert_eq!((changed.description.as_str(), changed.tags.len()), ("finds *fraud*", 2));
    let change = ModelChange { delete_tags: vec!["old".into()], ..ModelChange::default() };
    let changed = service.app.change_model(&call(), &name, Expected::Any, change).await.unwrap().value;
    assert_eq!(changed.tags, pairs(&[("team", "risk")]));
    let deleted = service.app.delete_model(&call(), &name, Expected::Any).await.unwrap().value;
    assert_eq!(deleted.tags, changed.tags);
    assert_eq!(service.app.model(&call(), &name).await.unwrap_err().reason, "MODEL_NOT_FOUND");
    assert_eq!(service.find_models("", &[]).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_display_name_belongs_to_one_model_and_a_rename_claims_the_new_one_first() {
    let service = Service::new();
    let (a, b) = (service.model("a").await, service.model("b").await);
    let refused = service.app.create_model(&call(), &project(), new_model("a", &[])).await.unwrap_err();
    assert_eq!(refused.reason, "MODEL_EXISTS");
    let refused = service.app.change_model(&call(), &a, Expected::Any, renamed("b")).await.unwrap_err();
    assert_eq!(refused.reason, "MODEL_EXISTS");

    service.version(&a, &[], &[]).await;
    let moved = service.app.change_model(&call(), &a, Expected::Any, renamed("c")).await.unwrap().value;
    assert_eq!((moved.name.clone(), moved.display_name.as_str()), (a.clone(), "c"));
    assert_eq!(service.app.find_model(&project(), "c").await.unwrap(), Some(a.clone()));
    assert_eq!(service.app.find_model(&project(), "a").await.unwrap(), None);
    assert_eq!(service.find_versions("name = 'c'", &[]).await, ["c/1"]);

    // The name is free, and its next model is another one.
    let next = service.model("a").await;
    assert_ne!(next, a);
    assert_eq!(service.app.find_model(&project(), "a").await.unwrap(), Some(next));
    assert_eq!(service.app.find_model(&project(), "b").await.unwrap(), Some(b));
}

#[tokio::test]
async fn a_model_registered_again_goes_on_counting() {
    let service = Service::new();
    let name = service.model("a").await;
    service.version(&name, &[], &[]).await;
    service.app.delete_model(&call(), &name, Expected::Any).await.unwrap();
    let again = service.model("a").await;
    assert_eq!(again, name);
    assert_eq!(service.app.model(&call(), &name).await.unwrap().latest, None);
    assert_eq!(service.version(&name, &[], &[]).await.number(), Number(2));
    assert_eq!(
        service.app.version(&call(), &name.version(Number(1))).await.unwrap_err().reason,
        "MODEL_VERSION_NOT_FOUND"
    );
}

#[tokio::test]
async fn registering_twice_with_one_request_id_registers_once() {
    let service = Service::new();
    let first = service.app.create_model(&request("r"), &project(), new_model("a", &[])).await.unwrap().value;
    let again = service.app.create_model(&request("r"), &project(), new_model("a", &[])).await.unwrap().value;
    assert_eq!(first, again);
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    let service = Service::new();
    let name = service.model("a").await;
    let stale = Expected::Exactly(Revision(7));
    for change in [renamed("b"), ModelChange { description: Some("x".into()), ..ModelChange::default() }] {
        let refused = service.app.change_model(&call(), &name, stale, change).await.unwrap_err();
        assert_eq!(refused.reason, "ETAG_MISMATCH");
    }
    assert_eq!(service.app.delete_model(&call(), &name, stale).await.unwrap_err().reason, "ETAG_MISMATCH");
    assert_eq!(service.app.model(&call(), &name).await.unwrap().display_name, "a");
}

#[tokio::test]
async fn models_are_found_by_name_and_tag_in_every_order_and_prompts_only_when_asked_for_s4_68() {
    let service = Service::new();
    for (display_name, team) in [("fraud a", "risk"), ("fraud b", "risk"), ("churn", "sales"), ("Fraud c", "sales")] {
        service.tagged(display_name, &[("team", team)]).await;
        service.clock.advance(Duration::from_secs(1));
    }
    service.tagged("greeting", &[("mlflow.prompt.is_prompt", "true"), ("team", "risk")]).await;
    let find = async |filter: &str, order: &[&str]| service.find_models(filter, order).await;
    assert_eq!(find("", &[]).await, ["Fraud c", "churn", "fraud a", "fraud b"]);
    assert_eq!(find("", &["name DESC"]).await, ["fraud b", "fraud a", "churn", "Fraud c"]);
    assert_eq!(find("", &["creation_timestamp DESC"]).await, ["Fraud c", "churn", "fraud b", "fraud a"]);
    assert_eq!(find("name LIKE 'fraud%'", &[]).await, ["fraud a", "fraud b"]);
    assert_eq!(find("name ILIKE 'fraud%'", &[]).await, ["Fraud c", "fraud a", "fraud b"]);
    assert_eq!(find("tags.team = 'risk'", &[]).await, ["fraud a", "fraud b"]);
    assert_eq!(find("tags.team != 'risk' AND name != 'churn'", &[]).await, ["Fraud c"]);
    assert_eq!(find("tags.`mlflow.prompt.is_prompt` = 'true'", &[]).await, ["greeting"]);
    assert_eq!(
        find("tags.`mlflow.prompt.is_prompt` != 'true' AND tags.team = 'risk'", &[]).await,
        ["fraud a", "fraud b"]
    );
}

#[tokio::test]
async fn a_project_is_counted_by_stage_and_framework_s4_67() {
    let service = Service::new();
    let (a, b) = (service.model("a").await, service.model("b").await);
    let sklearn =
        NewVersion { facts: Facts { framework: "sklearn".into(), ..Facts::default() }, ..NewVersion::default() };
    let first = service.app.create_version(&call(), &a, sklearn).await.unwrap().value.name;
    service.version(&a, &[], &[]).await;
    service.version(&b, &[], &[]).await;
    service.set_alias(&first, "champion").await;
    service.app.transition(&call(), &first, Expected::Any, Stage::Production, false).await.unwrap();
    let summary = service.app.query().summary(&project(), 0).await.unwrap();
    assert_eq!((summary.models, summary.versions, summary.aliases), (2, 3, 1));
    let counts = |counts: &[(&str, u32)]| -> BTreeMap<String, u32> {
        counts.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
    };
    assert_eq!(summary.by_stage, counts(&[("none", 2), ("production", 1)]));
    assert_eq!(summary.by_framework, counts(&[("sklearn", 1), ("unknown", 2)]));
}
