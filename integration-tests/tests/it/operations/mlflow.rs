//! Each operation of MLflow's protocol, so that it writes every event that it can.

use serde_json::{Value, json};

use super::caller::Caller;

pub async fn experiments(caller: &Caller<'_>) {
    let made = caller.call("mlflow.MlflowExperimentService/CreateExperiment", &[], json!({"name": "ml"})).await;
    let id = made["experiment_id"].as_str().unwrap();
    let name = json!({"experiment_id": id, "new_name": "ml 2"});
    caller.call("mlflow.MlflowExperimentService/UpdateExperiment", &[], name).await;
    let tag = json!({"experiment_id": id, "key": "a", "value": "1"});
    caller.call("mlflow.MlflowExperimentService/SetExperimentTag", &[], tag.clone()).await;
    caller.call("mlflow.MlflowExperimentService/DeleteExperimentTag", &[], tag).await;
    let experiment = json!({"experiment_id": id});
    caller.call("mlflow.MlflowExperimentService/DeleteExperiment", &[], experiment.clone()).await;
    caller.call("mlflow.MlflowExperimentService/RestoreExperiment", &[], experiment).await;
    let run = runs(caller, id).await;
    logged_models(caller, id, &run).await;
    artifacts(caller, id, &run).await;
}

async fn create_run(caller: &Caller<'_>, experiment: &str, tags: Value) -> String {
    let begun = json!({"experiment_id": experiment, "start_time": 1, "tags": tags});
    let made = caller.call("mlflow.MlflowRunService/CreateRun", &[], begun).await;
    made["run"]["info"]["run_id"].as_str().unwrap().to_owned()
}

/// Pairs of which the last finds no room in a run.
fn pairs(count: usize) -> Vec<Value> {
    (0..count).map(|at| json!({"key": format!("k{at}"), "value": "v"})).collect()
}

async fn runs(caller: &Caller<'_>, experiment: &str) -> String {
    let full = create_run(caller, experiment, json!(pairs(4))).await;
    let run = create_run(caller, experiment, json!([])).await;
    let on = |fields: Value| {
        let mut body = json!({"run_id": run});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let metrics: Vec<Value> =
        (0..4).map(|at| json!({"key": format!("m{at}"), "value": 1.0, "timestamp": 1, "step": 0})).collect();
    let mut tags = pairs(4);
    tags.push(json!({"key": "mlflow.runName", "value": "ml 3"}));
    let batch = on(json!({"metrics": metrics, "params": pairs(4), "tags": tags}));
    caller.call("mlflow.MlflowRunService/LogBatch", &[], batch).await;
    for key in ["m0", "one more"] {
        let metric = on(json!({"key": key, "value": 2.0, "timestamp": 2, "step": 1}));
        caller.call("mlflow.MlflowRunService/LogMetric", &[], metric).await;
    }
    let param = on(json!({"key": "one more", "value": "1"}));
    caller.call("mlflow.MlflowRunService/LogParam", &[], param).await;
    let param = json!({"run_id": full, "key": "p", "value": "1"});
    caller.call("mlflow.MlflowRunService/LogParam", &[], param).await;
    for (key, value) in [("k0", "2"), ("one more", "1"), ("mlflow.runName", "ml 4")] {
        caller.call("mlflow.MlflowRunService/SetTag", &[], on(json!({"key": key, "value": value}))).await;
    }
    caller.call("mlflow.MlflowRunService/DeleteTag", &[], on(json!({"key": "k0"}))).await;
    let dataset = json!({"name": "d", "digest": "1", "source_type": "local", "source": "x"});
    caller.call("mlflow.MlflowRunService/LogInputs", &[], on(json!({"datasets": [{"dataset": dataset}]}))).await;
    caller.call("mlflow.MlflowRunService/LogModel", &[], on(json!({"model_json": "{}"}))).await;
    // Where there is no room for the history of models either.
    let reserved: Vec<Value> = (0..100).map(|at| json!({"key": format!("mlflow.x{at}"), "value": "v"})).collect();
    for part in 0..3 {
        let tags: Vec<Value> = reserved
            .iter()
            .map(|tag| json!({"key": format!("{}.{part}", tag["key"].as_str().unwrap()), "value": "v"}))
            .collect();
        caller.call("mlflow.MlflowRunService/LogBatch", &[], json!({"run_id": full, "tags": tags})).await;
    }
    caller.call("mlflow.MlflowRunService/LogModel", &[], json!({"run_id": full, "model_json": "{}"})).await;
    for status in ["FINISHED", "RUNNING"] {
        let update = on(json!({"status": status, "run_name": format!("ml {status}"), "end_time": 5}));
        caller.call("mlflow.MlflowRunService/UpdateRun", &[], update).await;
    }
    caller.call("mlflow.MlflowRunService/DeleteRun", &[], on(json!({}))).await;
    caller.call("mlflow.MlflowRunService/RestoreRun", &[], on(json!({}))).await;
    run
}

async fn logged_models(caller: &Caller<'_>, experiment: &str, run: &str) {
    let mut made = vec![];
    for name in ["a", "b"] {
        let new = json!({"experiment_id": experiment, "name": name});
        let model = caller.call("mlflow.MlflowLoggedModelService/CreateLoggedModel", &[], new).await;
        made.push(model["model"]["info"]["model_id"].as_str().unwrap().to_owned());
    }
    let (ready, failed) = (&*made[0], &*made[1]);
    let outputs = json!({"run_id": run, "models": [{"model_id": ready, "step": 0}]});
    caller.call("mlflow.MlflowRunService/LogOutputs", &[], outputs).await;
    let tags = json!({"tags": [{"key": "a", "value": "1"}]});
    caller.call("mlflow.MlflowLoggedModelService/SetLoggedModelTags", &[ready], tags).await;
    caller.call("mlflow.MlflowLoggedModelService/DeleteLoggedModelTag", &[ready, "a"], Value::Null).await;
    let params = json!({"params": [{"key": "p", "value": "1"}]});
    caller.call("mlflow.MlflowLoggedModelService/LogLoggedModelParams", &[ready], params).await;
    for (model, status) in [(ready, "LOGGED_MODEL_READY"), (failed, "LOGGED_MODEL_UPLOAD_FAILED")] {
        let status = json!({"status": status});
        caller.call("mlflow.MlflowLoggedModelService/FinalizeLoggedModel", &[model], status).await;
    }
    caller.call("mlflow.MlflowLoggedModelService/DeleteLoggedModel", &[failed], Value::Null).await;
}

async fn artifacts(caller: &Caller<'_>, experiment: &str, run: &str) {
    let at = format!("?run_uuid={run}&path=a.json");
    caller.call("mlflow.MlflowArtifactService/UploadArtifact", &[&at], json!("x")).await;
    let folder = format!("{experiment}/{run}/artifacts");
    let path = format!("{folder}/b.json");
    caller.call("mlflow.MlflowArtifactService/UploadProxiedArtifact", &[&path], json!("x")).await;
    caller.call("mlflow.MlflowArtifactService/DeleteProxiedArtifact", &[&path], Value::Null).await;
    let create = "mlflow.MlflowArtifactService/CreateMultipartUpload";
    let begin = json!({"path": "c.json", "num_parts": 1});
    let begun = caller.call(create, &[&folder], begin.clone()).await;
    let slot = &begun["credentials"][0];
    let etag = caller.suite.put(slot["url"].as_str().unwrap(), "x").await;
    let parts = json!([{"part_number": 1, "etag": etag}]);
    let whole = json!({"path": "c.json", "upload_id": begun["upload_id"], "parts": parts});
    caller.call("mlflow.MlflowArtifactService/CompleteMultipartUpload", &[&folder], whole).await;
    let begun = caller.call(create, &[&folder], begin).await;
    let abort = json!({"path": "c.json", "upload_id": begun["upload_id"]});
    caller.call("mlflow.MlflowArtifactService/AbortMultipartUpload", &[&folder], abort).await;
}

pub async fn registry(caller: &Caller<'_>) {
    let named = |fields: Value| {
        let mut body = json!({"name": "ml"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    caller.call("mlflow.MlflowRegisteredModelService/CreateRegisteredModel", &[], json!({"name": "ml 0"})).await;
    let rename = json!({"name": "ml 0", "new_name": "ml"});
    caller.call("mlflow.MlflowRegisteredModelService/RenameRegisteredModel", &[], rename).await;
    let about = named(json!({"description": "two"}));
    caller.call("mlflow.MlflowRegisteredModelService/UpdateRegisteredModel", &[], about).await;
    let tag = named(json!({"key": "a", "value": "1"}));
    caller.call("mlflow.MlflowRegisteredModelService/SetRegisteredModelTag", &[], tag).await;
    let tag = named(json!({"key": "a"}));
    caller.call("mlflow.MlflowRegisteredModelService/DeleteRegisteredModelTag", &[], tag).await;
    versions(caller, &named).await;
    // Somebody waits for a promotion: it ends with the model.
    let terms = json!({"terms": {"protected_stages": ["STAGE_PRODUCTION"]}});
    let policy = "projects/default/promotionPolicies/default";
    caller.call("registry.PromotionService/UpdatePromotionPolicy", &[policy], terms).await;
    let stage = named(json!({"version": "2", "stage": "Production"}));
    caller.refused("mlflow.MlflowModelVersionService/TransitionModelVersionStage", &[], stage).await;
    caller.call("mlflow.MlflowRegisteredModelService/DeleteRegisteredModel", &[], named(json!({}))).await;
    webhooks(caller).await;
}

async fn versions(caller: &Caller<'_>, named: &impl Fn(Value) -> Value) {
    for _ in 0..2 {
        let version = named(json!({"source": "s3://bucket/model"}));
        caller.call("mlflow.MlflowModelVersionService/CreateModelVersion", &[], version).await;
    }
    let first = |fields: Value| {
        let mut body = named(json!({"version": "1"}));
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let about = first(json!({"description": "two"}));
    caller.call("mlflow.MlflowModelVersionService/UpdateModelVersion", &[], about).await;
    let tag = first(json!({"key": "a", "value": "1"}));
    caller.call("mlflow.MlflowModelVersionService/SetModelVersionTag", &[], tag).await;
    let tag = first(json!({"key": "a"}));
    caller.call("mlflow.MlflowModelVersionService/DeleteModelVersionTag", &[], tag).await;
    let stage = first(json!({"stage": "Staging"}));
    caller.call("mlflow.MlflowModelVersionService/TransitionModelVersionStage", &[], stage).await;
    let alias = first(json!({"alias": "best"}));
    caller.call("mlflow.MlflowRegisteredModelService/SetRegisteredModelAlias", &[], alias.clone()).await;
    let none = named(json!({"alias": "best"}));
    caller.call("mlflow.MlflowRegisteredModelService/DeleteRegisteredModelAlias", &[], none).await;
    caller.call("mlflow.MlflowRegisteredModelService/SetRegisteredModelAlias", &[], alias).await;
    caller.call("mlflow.MlflowModelVersionService/DeleteModelVersion", &[], first(json!({}))).await;
}

async fn webhooks(caller: &Caller<'_>) {
    let events = json!([{"entity": "REGISTERED_MODEL", "action": "CREATED"}]);
    let hook = json!({"name": "w", "url": "https://example.org/hook", "events": events, "status": "DISABLED"});
    let made = caller.call("mlflow.MlflowWebhookService/CreateWebhook", &[], hook).await;
    let id = made["webhook"]["webhook_id"].as_str().unwrap();
    let update = "mlflow.MlflowWebhookService/UpdateWebhook";
    let changed = json!({"name": "w2", "url": "https://example.org/other", "status": "ACTIVE"});
    caller.call(update, &[id], changed).await;
    caller.call(update, &[id], json!({"status": "DISABLED"})).await;
    caller.call("mlflow.MlflowWebhookService/DeleteWebhook", &[id], Value::Null).await;
}
