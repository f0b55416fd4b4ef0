use cairn_contract::cairn::experiments::events::v1 as events;
use cairn_registry::app::{NewVersion, Source};
use cairn_registry::model::version::Facts;

use crate::support::{Service, call, project};

async fn prepared() -> Service {
    let service = Service::new();
    let run = events::RunCreated { run: "projects/p/experiments/1/runs/r".into(), ..Default::default() };
    service.hear("experiments.run-projects/p/runs/r", run).await;
    let model = events::LoggedModelCreated {
        model: "projects/p/experiments/1/loggedModels/m-1".into(),
        source_run: "r".into(),
        ..Default::default()
    };
    service.hear("experiments.logged_model-projects/p/loggedModels/m-1", model).await;
    service
}

fn source(uri: &str, run: &str, model: &str) -> Source {
    Source { uri: uri.into(), run: run.into(), model: model.into() }
}

#[tokio::test]
async fn a_logged_model_leads_to_its_files_and_to_the_run_that_made_it() {
    let service = prepared().await;
    let located = service.app.locate(&call(), &project(), source("models:/m-1", "", "")).await.unwrap();
    assert_eq!(located.artifact_uri, "mlflow-artifacts:/1/models/m-1/artifacts");
    assert_eq!(located.run, "projects/p/experiments/1/runs/r");
    assert_eq!((located.uri.as_str(), located.model.as_str()), ("models:/m-1", "m-1"));
}

#[tokio::test]
async fn nobody_registers_files_that_are_not_their_runs() {
    let service = prepared().await;
    let locate = async |uri: &str, run: &str, model: &str| {
        service.app.locate(&call(), &project(), source(uri, run, model)).await
    };
    assert!(locate("mlflow-artifacts:/1/r/artifacts/model", "r", "").await.is_ok());
    assert!(locate("mlflow-artifacts:/1/models/m-1/artifacts", "", "m-1").await.is_ok());
    assert!(locate("runs:/r/model", "r", "").await.is_ok());
    assert!(locate("s3://bucket/model", "", "").await.is_ok());
    for (uri, run, model) in [
        ("mlflow-artifacts:/1/other/artifacts/model", "r", ""),
        ("mlflow-artifacts:/1/r/artifacts/model", "", ""),
        ("mlflow-artifacts:/1/r/artifacts/../../other", "r", ""),
        ("mlflow-artifacts:/1/r/artifacts/%252e%252e/x", "r", ""),
        ("runs:/r/model", "other", ""),
        ("models:/m-2", "", ""),
        ("models:/m-1", "", "m-2"),
        ("models:/nobody/1", "", ""),
        ("/tmp/model", "r", ""),
        ("file:///tmp/model", "r", ""),
    ] {
        let refused = locate(uri, run, model).await.unwrap_err();
        assert_eq!(refused.reason, "SOURCE_INVALID", "{uri}");
    }
}

#[tokio::test]
async fn a_version_made_from_another_has_its_files() {
    let service = prepared().await;
    let located = service.app.locate(&call(), &project(), source("models:/m-1", "", "")).await.unwrap();
    let model = service.model("a").await;
    let facts = Facts {
        source_run: located.run.clone(),
        source_model: located.model,
        source_uri: located.uri,
        artifact_uri: located.artifact_uri.clone(),
        ..Default::default()
    };
    let new = NewVersion { facts, ..Default::default() };
    let first = service.app.create_version(&call(), &model, new).await.unwrap().value.name;
    service.set_alias(&first, "champion").await;
    for uri in ["models:/a/1", "models:/a@champion"] {
        let copied = service.app.locate(&call(), &project(), source(uri, "", "")).await.unwrap();
        assert_eq!((copied.uri.as_str(), copied.artifact_uri.as_str()), ("models:/a/1", located.artifact_uri.as_str()));
        assert_eq!(copied.run, located.run);
    }
}
