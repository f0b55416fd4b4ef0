use cairn_contract::cairn::experiments::events::v1::{InputsLogged, RunCreated};
use cairn_contract::cairn::experiments::v1::DatasetInput;
use cairn_contract::cairn::ledger::v1::{ExportLineageRequest, GetLineageRequest, LineageDirection};
use cairn_contract::cairn::openlineage::v1::{ReceiveEventRequest, ReceiveEventResponse};
use cairn_contract::google::api::HttpBody;
use cairn_service::guard::PROJECT;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::house::{ADMIN, GUEST, House, MANAGER};

fn event(outputs: Value) -> Value {
    json!({
        "eventType": "COMPLETE", "eventTime": "2026-01-01T00:00:00Z", "producer": "https://example.org",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": "0176a8c2-fe01-7439-87e6-56a1a1b4029f",
                "facets": {"nobody_knows": {"_producer": "p", "_schemaURL": "s", "deep": {"a": [1.50, null]}}}},
        "job": {"namespace": "airflow", "name": "dag.load"},
        "inputs": [{"namespace": "postgres://db.example:5432", "name": "shop.orders"}],
        "outputs": outputs,
    })
}

async fn send(house: &House, principal: &str, project: &str, body: &str) -> Result<ReceiveEventResponse, Status> {
    let data = body.as_bytes().to_vec().into();
    let message = ReceiveEventRequest { event: Some(HttpBody { data, ..Default::default() }) };
    let mut request = house.of(principal, message);
    request.metadata_mut().insert(PROJECT, project.parse().unwrap());
    house.open_lineage().receive_event(request).await.map(tonic::Response::into_inner)
}

async fn upstream(house: &House, node: &str) -> Vec<String> {
    let direction = LineageDirection::Upstream.into();
    let asked = GetLineageRequest { node: node.into(), direction, ..Default::default() };
    let found = house.lineage().get_lineage(house.of(ADMIN, asked)).await.unwrap().into_inner();
    found.nodes.into_iter().map(|node| node.name).collect()
}

#[tokio::test]
async fn a_pipeline_outside_and_a_run_meet_at_the_file_that_one_wrote_and_the_other_read() {
    let house = House::new().await;
    let body = event(json!([{"namespace": "s3://lake", "name": "orders.parquet"}])).to_string();
    let answer = send(&house, MANAGER, "projects/a", &body).await.unwrap();
    assert_eq!((answer.project.as_str(), answer.job.as_str()), ("projects/a", "projects/a/jobs/airflow+dag.load"));

    let run = "projects/a/experiments/1/runs/r";
    house.record("experiments.run", run, ADMIN, &RunCreated { run: run.into(), ..Default::default() }).await;
    let dataset = DatasetInput {
        display_name: "orders".into(),
        digest: "d".into(),
        source: r#"{"uri": "s3://lake/orders.parquet"}"#.into(),
        ..Default::default()
    };
    let inputs = InputsLogged { run: run.into(), datasets: vec![dataset], models: vec![] };
    house.record("experiments.run", run, ADMIN, &inputs).await;
    let found = upstream(&house, run).await;
    assert_eq!(
        found,
        [
            run,
            "projects/a/datasets/orders/versions/d",
            "projects/a/datasets/s3~3A~2F~2Flake~2Forders.parquet",
            &answer.run,
            &answer.job,
            "projects/a/datasets/postgres~3A~2F~2Fdb.example~3A5432~2Fshop.orders",
        ]
    );
}

#[tokio::test]
async fn an_event_sent_again_changes_nothing_and_comes_out_as_it_went_in() {
    let house = House::new().await;
    let body = format!("\n {}", serde_json::to_string_pretty(&event(json!([]))).unwrap());
    send(&house, ADMIN, "projects/a", &body).await.unwrap();
    let before = house.head();
    send(&house, ADMIN, "projects/a", &body).await.unwrap();
    assert_eq!(house.head(), before);
    let mut pieces =
        house.lineage().export_lineage(house.of(ADMIN, ExportLineageRequest::default())).await.unwrap().into_inner();
    let mut text = vec![];
    while let Some(piece) = pieces.message().await.unwrap() {
        text.extend_from_slice(&piece.data);
    }
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert_eq!(text.replace([' ', '\n'], ""), body.replace([' ', '\n'], ""));
}

#[tokio::test]
async fn a_resource_of_ours_is_joined_if_the_sender_may_know_it() {
    let house = House::new().await;
    let ours = |name: &str| json!([{"namespace": "cairn", "name": name}]);
    let version = "projects/a/models/m/versions/1";
    let answer = send(&house, MANAGER, "projects/a", &event(ours(version)).to_string()).await.unwrap();
    assert!(upstream(&house, version).await.contains(&answer.run));
    let elsewhere = event(ours("projects/b/models/m/versions/1")).to_string();
    let refused = send(&house, MANAGER, "projects/a", &elsewhere).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    send(&house, ADMIN, "projects/a", &elsewhere).await.unwrap();
}

#[tokio::test]
async fn a_resource_that_is_named_before_it_is_made_is_the_same_one_afterwards() {
    let house = House::new().await;
    let run = "projects/a/experiments/1/runs/r";
    let body = event(json!([{"namespace": "cairn", "name": run}])).to_string();
    let answer = send(&house, MANAGER, "projects/a", &body).await.unwrap();
    house.record("experiments.run", run, ADMIN, &RunCreated { run: run.into(), ..Default::default() }).await;
    let child = "projects/a/experiments/1/runs/child";
    let created = RunCreated { run: child.into(), parent_run: "r".into(), ..Default::default() };
    house.record("experiments.run", child, ADMIN, &created).await;
    let found = upstream(&house, child).await;
    assert_eq!(found[..3], [child, run, &answer.run]);
}

#[tokio::test]
async fn an_event_is_taken_into_a_project_only_from_those_who_work_there() {
    let house = House::new().await;
    let body = event(json!([])).to_string();
    for (principal, project) in [(MANAGER, "projects/b"), (GUEST, "projects/a")] {
        let refused = send(&house, principal, project, &body).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{principal}");
    }
    let refused = send(&house, MANAGER, "projects/a", "{}").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "eventTime: is missing"));
}
