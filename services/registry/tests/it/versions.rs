use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_kernel::Expected;
use cairn_registry::app::{NewVersion, Resolve};
use cairn_registry::model::version::{Facts, Manifest, ReferenceStatistics, Signature, SignatureCheck, Tensor};
use cairn_registry::model::{Number, Stage};
use futures::future::join_all;

use crate::support::{Service, call, new_version, pairs, request};

const VERSIONS: u32 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn numbers_have_no_gap_and_no_repeat_however_many_register_at_once_s3_4_s4_58() {
    let service = Service::new();
    let model = service.model("a").await;
    let made = join_all((0..VERSIONS).map(|_| service.version(&model, &[], &[]))).await;
    let numbers: BTreeSet<u32> = made.iter().map(|name| name.number().0).collect();
    assert_eq!(numbers, (1..=VERSIONS).collect());
    // A deleted version's number does not come back.
    let last = model.version(Number(VERSIONS));
    service.app.delete_version(&call(), &last, Expected::Any).await.unwrap();
    assert_eq!(service.version(&model, &[], &[]).await.number(), Number(VERSIONS + 1));
}

#[tokio::test]
async fn a_request_that_is_repeated_gets_the_number_it_got_though_others_came_between() {
    let service = Service::new();
    let model = service.model("a").await;
    let first = service.app.create_version(&request("r"), &model, new_version(&[], &[])).await.unwrap().value;
    service.version(&model, &[], &[]).await;
    let again = service.app.create_version(&request("r"), &model, new_version(&[], &[])).await.unwrap().value;
    assert_eq!(first, again);
    assert_eq!(service.find_versions("", &["version_number"]).await, ["a/1", "a/2"]);
}

#[tokio::test]
async fn what_a_version_is_comes_back_as_it_was_given_s3_5_s3_9_s4_53() {
    let service = Service::new();
    let model = service.model("a").await;
    let tensor = |label: &str, dtype: &str, shape: &[i32]| Tensor {
        label: label.into(),
        dtype: dtype.into(),
        shape: shape.to_vec(),
        is_optional: false,
    };
    let facts = Facts {
        source_run: "projects/p/experiments/1/runs/r".into(),
        source_model: "m-1".into(),
        source_uri: "models:/m-1".into(),
        artifact_uri: "mlflow-artifacts:/1/models/m-1/artifacts".into(),
        run_link: "http://somewhere".into(),
        framework: "sklearn".into(),
        signature: Some(Signature {
            inputs: vec![tensor("image", "float32", &[-1, 28, 28])],
            outputs: vec![tensor("", "int64", &[])],
        }),
        hyperparameters: pairs(&[("depth", "5")]),
        metrics: Arc::new(BTreeMap::from([("auc".to_owned(), 0.9), ("worst".to_owned(), f64::INFINITY)])),
        reference_statistics: Some(ReferenceStatistics { sha256: "a".repeat(64), uri: "s3://b/stats.json".into() }),
        manifest: Manifest::Elsewhere,
        signature_check: SignatureCheck::Absent,
    };
    let new = NewVersion {
        description: "first".into(),
        tags: pairs(&[("team", "risk")]),
        facts: facts.clone(),
        import: None,
    };
    let made = service.app.create_version(&call(), &model, new).await.unwrap().value;
    assert_eq!((*made.facts).clone(), facts);
    assert_eq!((made.description.as_str(), made.tags.clone()), ("first", pairs(&[("team", "risk")])));
    assert_eq!(service.app.version(&call(), &made.name).await.unwrap(), made);

    let (set, delete) = (pairs(&[("new", "1")]), vec!["team".to_owned()]);
    let changed =
        service.app.change_version(&call(), &made.name, Expected::Any, Some("second".into()), set, delete).await;
    let changed = changed.unwrap().value;
    assert_eq!((changed.description.as_str(), changed.tags), ("second", pairs(&[("new", "1")])));
    assert_eq!((*changed.facts).clone(), facts);
}

#[tokio::test]
async fn a_version_is_found_by_alias_by_stage_and_as_the_newest() {
    let service = Service::new();
    let model = service.model("a").await;
    let (first, second) = (service.version(&model, &[], &[]).await, service.version(&model, &[], &[]).await);
    service.set_alias(&first, "champion").await;
    service.set_alias(&first, "baseline").await;
    service.app.transition(&call(), &first, Expected::Any, Stage::Staging, false).await.unwrap();
    let resolve = async |wanted| service.app.resolve(&call(), &model, wanted).await;
    let champion = resolve(Resolve::Alias("champion".into())).await.unwrap();
    assert_eq!((champion.name, champion.aliases), (first.clone(), vec!["baseline".to_owned(), "champion".to_owned()]));
    assert_eq!(resolve(Resolve::Stage(Stage::Staging)).await.unwrap().name, first);
    assert_eq!(resolve(Resolve::Latest).await.unwrap().name, second);
    assert_eq!(resolve(Resolve::Alias("shadow".into())).await.unwrap_err().reason, "ALIAS_NOT_FOUND");
    assert_eq!(resolve(Resolve::Stage(Stage::Archived)).await.unwrap_err().reason, "ALIAS_NOT_FOUND");

    service.app.delete_version(&call(), &first, Expected::Any).await.unwrap();
    assert_eq!(resolve(Resolve::Alias("champion".into())).await.unwrap_err().reason, "ALIAS_NOT_FOUND");
    let refused = service.app.version(&call(), &first).await.unwrap_err();
    assert_eq!(refused.reason, "MODEL_VERSION_NOT_FOUND");
    let refused =
        service.app.change_version(&call(), &first, Expected::Any, Some("x".into()), BTreeMap::new(), vec![]).await;
    assert_eq!(refused.unwrap_err().reason, "MODEL_VERSION_NOT_FOUND");
}

#[tokio::test]
async fn a_version_goes_from_staging_to_production_and_the_one_before_it_is_archived_s3_7() {
    let service = Service::new();
    let model = service.model("a").await;
    let (first, second) = (service.version(&model, &[], &[]).await, service.version(&model, &[], &[]).await);
    let to = async |name, stage, archive| service.app.transition(&call(), name, Expected::Any, stage, archive).await;
    assert_eq!(to(&first, Stage::Staging, false).await.unwrap().value.stage, Stage::Staging);
    assert_eq!(to(&first, Stage::Production, false).await.unwrap().value.stage, Stage::Production);
    assert_eq!(to(&second, Stage::Production, true).await.unwrap().value.stage, Stage::Production);
    assert_eq!(service.app.version(&call(), &first).await.unwrap().stage, Stage::Archived);
    assert_eq!(to(&first, Stage::None, false).await.unwrap_err().reason, "STAGE_MOVE_INVALID");
}

#[tokio::test]
async fn versions_are_found_by_name_number_stage_run_and_tag_s3_8_s4_59() {
    let service = Service::new();
    let (a, b) = (service.model("a").await, service.model("b").await);
    let first = service.version(&a, &[("team", "risk")], &[]).await;
    service.version(&a, &[("team", "sales")], &[]).await;
    service.version(&b, &[("team", "risk"), ("k", "v")], &[]).await;
    let of_run = NewVersion {
        facts: Facts { source_run: "projects/p/experiments/1/runs/abc".into(), ..Facts::default() },
        ..NewVersion::default()
    };
    service.app.create_version(&call(), &b, of_run).await.unwrap();
    service.app.transition(&call(), &first, Expected::Any, Stage::Production, false).await.unwrap();
    let by_name = ["name", "version_number"];
    let find = async |filter: &str| service.find_versions(filter, &by_name).await;
    assert_eq!(find("").await, ["a/1", "a/2", "b/1", "b/2"]);
    assert_eq!(find("name = 'a'").await, ["a/1", "a/2"]);
    assert_eq!(find("name = 'a' AND version_number >= 2").await, ["a/2"]);
    assert_eq!(find("stage = 'production'").await, ["a/1"]);
    assert_eq!(find("run_id = 'abc'").await, ["b/2"]);
    assert_eq!(find("run_id IN ('abc', 'x')").await, ["b/2"]);
    assert_eq!(find("tags.team = 'risk'").await, ["a/1", "b/1"]);
    assert_eq!(find("tags.team = 'risk' AND tags.k LIKE 'v%'").await, ["b/1"]);
    assert_eq!(service.find_versions("name = 'a'", &["version_number DESC"]).await, ["a/2", "a/1"]);
    // More than MLflow's clients ask: any of these, and not those.
    assert_eq!(find("name = 'b' OR stage = 'production'").await, ["a/1", "b/1", "b/2"]);
    assert_eq!(find("NOT tags.team = 'risk'").await, ["a/2", "b/2"]);
    assert_eq!(find("NOT (name = 'a' OR run_id = 'abc') AND version_number < 9").await, ["b/1"]);
    assert_eq!(find("(tags.team = 'sales' OR tags.k LIKE 'v%') AND NOT name = 'a'").await, ["b/1"]);
    // Nothing that a caller writes becomes SQL.
    assert_eq!(find("name = \"' OR 1=1 --\"").await, Vec::<String>::new());
}
