use std::collections::BTreeSet;

use cairn_contract::cairn::experiments::events::v1::{
    ArtifactRecorded, InputsLogged, LoggedModelCreated, RunCreated, RunDeleted, RunFinished,
};
use cairn_contract::cairn::experiments::v1::{DatasetInput, RunState};
use cairn_contract::cairn::ledger::v1::{
    ExportLineageRequest, FindLineagePathRequest, GetLineageImpactRequest, GetLineageRequest, Lineage,
    LineageDirection, LineageFormat, LineagePath, ListLineageNodesRequest,
};
use cairn_contract::cairn::registry::events::v1::{AliasMoved, ModelVersionCreated, PromotionRequested};
use cairn_contract::cairn::registry::v1::PromotionMove;
use cairn_kernel::Position;
use tonic::Code;

use crate::house::{ADMIN, GUEST, House, MANAGER, soon};

const RUN: &str = "projects/a/experiments/1/runs/r";
const DATA: &str = "projects/a/datasets/train/versions/d1";
const SOURCE: &str = "projects/a/datasets/s3~3A~2F~2Fbucket~2Ftrain";
const LOGGED: &str = "projects/a/experiments/1/loggedModels/l";
const MODEL: &str = "projects/a/models/m";
const ALIAS: &str = "projects/a/models/m/aliases/champion";

/// From a data set over a run and a logged model to a version with an alias, as the services write it.
async fn story(house: &House) -> Position {
    let created = RunCreated {
        run: RUN.into(),
        display_name: "first".into(),
        state: RunState::Running.into(),
        parent_run: "p".into(),
        ..Default::default()
    };
    house.record("experiments.run", RUN, ADMIN, &created).await;
    let source = r#"{"uri": "s3://bucket/train"}"#.to_owned();
    let dataset = DatasetInput { display_name: "train".into(), digest: "d1".into(), source, ..Default::default() };
    let inputs = InputsLogged { run: RUN.into(), datasets: vec![dataset], models: vec![] };
    house.record("experiments.run", RUN, ADMIN, &inputs).await;
    let logged = LoggedModelCreated { model: LOGGED.into(), source_run: "r".into(), ..Default::default() };
    house.record("experiments.logged_model", LOGGED, ADMIN, &logged).await;
    let artifact = ArtifactRecorded {
        owner: LOGGED.into(),
        path: "MLmodel".into(),
        sha256: "ab".repeat(32),
        ..Default::default()
    };
    house.record("experiments.artifact", &format!("{LOGGED}/artifacts/x"), ADMIN, &artifact).await;
    let finished = RunFinished { run: RUN.into(), state: RunState::Finished.into(), ..Default::default() };
    house.record("experiments.run", RUN, ADMIN, &finished).await;
    version(house, 1).await;
    alias(house, 1).await
}

async fn version(house: &House, number: u32) -> Position {
    let version = format!("{MODEL}/versions/{number}");
    let created = ModelVersionCreated {
        version: version.clone(),
        source_run: RUN.into(),
        source_model: "l".into(),
        ..Default::default()
    };
    house.record("registry.version", &version, ADMIN, &created).await
}

async fn alias(house: &House, to_version: u32) -> Position {
    let moved = AliasMoved { model: MODEL.into(), alias: "champion".into(), to_version, ..Default::default() };
    house.record("registry.model", MODEL, ADMIN, &moved).await
}

fn ask(node: &str, direction: LineageDirection) -> GetLineageRequest {
    GetLineageRequest { node: node.into(), direction: direction.into(), ..Default::default() }
}

async fn lineage(house: &House, principal: &str, asked: GetLineageRequest) -> Lineage {
    house.lineage().get_lineage(house.of(principal, asked)).await.unwrap().into_inner()
}

async fn path(house: &House, from: &str, to: &str) -> LineagePath {
    let asked = FindLineagePathRequest { from: from.into(), to: to.into(), ..Default::default() };
    house.lineage().find_lineage_path(house.of(ADMIN, asked)).await.unwrap().into_inner()
}

fn names(lineage: &Lineage) -> BTreeSet<&str> {
    lineage.nodes.iter().map(|node| node.name.as_str()).collect()
}

/// A whole export as text.
async fn export(house: &House, principal: &str, asked: ExportLineageRequest) -> String {
    let mut pieces = house.lineage().export_lineage(house.of(principal, asked)).await.unwrap().into_inner();
    let mut text = vec![];
    while let Some(piece) = pieces.message().await.unwrap() {
        text.extend_from_slice(&piece.data);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_version_leads_back_to_the_data_it_was_made_from() {
    let house = House::new().await;
    story(&house).await;
    let version = format!("{MODEL}/versions/1");
    let up = lineage(&house, ADMIN, ask(&version, LineageDirection::Upstream)).await;
    assert_eq!(names(&up), BTreeSet::from([version.as_str(), RUN, LOGGED, DATA, SOURCE, "projects/a/runs/p"]));
    let run = up.nodes.iter().find(|node| node.name == RUN).unwrap();
    assert_eq!((run.r#type.as_str(), run.label.as_str(), run.state.as_str()), ("run", "first", "finished"));
    assert_eq!((run.distance, up.nodes[0].distance), (-1, 0));
    let used = up.edges.iter().find(|edge| edge.relation == "used").unwrap();
    assert_eq!((used.from.as_str(), used.to.as_str(), used.position.as_str()), (DATA, RUN, "9"));
    assert!(used.event_time.is_some() && !up.truncated);

    let down = lineage(&house, ADMIN, ask(DATA, LineageDirection::Downstream)).await;
    assert!(names(&down).contains(ALIAS) && !names(&down).contains(SOURCE), "{down:?}");
    let both = lineage(&house, ADMIN, ask(RUN, LineageDirection::Both)).await;
    assert_eq!(both.nodes.len(), 8, "{:?}", names(&both));
}

#[tokio::test]
async fn a_walk_keeps_to_its_depth_and_relations_and_says_what_it_left_out() {
    let house = House::new().await;
    story(&house).await;
    let one = GetLineageRequest { depth: 1, ..ask(SOURCE, LineageDirection::Downstream) };
    let one = lineage(&house, ADMIN, one).await;
    assert_eq!(names(&one), BTreeSet::from([SOURCE, DATA]));
    assert!(one.truncated);
    assert_eq!(one.truncated_nodes, [DATA]);
    let only = GetLineageRequest { relations: vec!["produced".into()], ..ask(RUN, LineageDirection::Downstream) };
    let only = lineage(&house, ADMIN, only).await;
    assert_eq!(
        only.edges.iter().map(|edge| edge.relation.as_str()).collect::<BTreeSet<_>>(),
        BTreeSet::from(["produced"])
    );
    assert!(!only.truncated && only.nodes.len() == 3, "{:?}", names(&only));
}

#[tokio::test]
async fn the_shortest_way_is_found_and_no_way_is_said_to_be_none() {
    let house = House::new().await;
    story(&house).await;
    let way = path(&house, SOURCE, ALIAS).await;
    let version = format!("{MODEL}/versions/1");
    let along: Vec<_> = way.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(along, [SOURCE, DATA, RUN, &version, ALIAS]);
    let relations: Vec<_> = way.edges.iter().map(|edge| edge.relation.as_str()).collect();
    assert_eq!(relations, ["versioned", "used", "registered", "named"]);
    let none = path(&house, ALIAS, SOURCE).await;
    assert_eq!((none.nodes.len(), none.truncated), (0, false));
    assert_eq!(path(&house, RUN, RUN).await.nodes.len(), 1);
}

#[tokio::test]
async fn what_is_downstream_is_counted_by_type() {
    let house = House::new().await;
    story(&house).await;
    let asked = GetLineageImpactRequest { node: SOURCE.into(), ..Default::default() };
    let impact = house.lineage().get_lineage_impact(house.of(ADMIN, asked)).await.unwrap().into_inner();
    let counts: Vec<_> = impact.groups.iter().map(|group| (group.r#type.as_str(), group.count)).collect();
    assert_eq!(
        counts,
        [("alias", 1), ("artifact", 1), ("dataset_version", 1), ("logged_model", 1), ("model_version", 1), ("run", 1)]
    );
}

#[tokio::test]
async fn the_graph_is_shown_as_it_was_at_a_position_or_time() {
    let house = House::new().await;
    let first = story(&house).await;
    version(&house, 2).await;
    alias(&house, 2).await;
    house.record("experiments.run", RUN, ADMIN, &RunDeleted { run: RUN.into() }).await;
    let versions = |lineage: &Lineage| {
        let named = lineage.edges.iter().filter(|edge| edge.relation == "named");
        named.map(|edge| edge.from.rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let is_ended = |lineage: &Lineage| lineage.nodes.iter().any(|node| node.name == RUN && node.ended);
    let now = lineage(&house, ADMIN, ask(ALIAS, LineageDirection::Upstream)).await;
    assert_eq!((versions(&now), is_ended(&now)), (vec!["2".to_owned()], true), "what is gone stays in the graph");
    let then = GetLineageRequest { as_of: first.to_string(), ..ask(ALIAS, LineageDirection::Upstream) };
    let then = lineage(&house, ADMIN, then).await;
    assert_eq!((versions(&then), is_ended(&then)), (vec!["1".to_owned()], false));
    assert_eq!(
        (then.position.as_str(), then.edges.iter().filter(|edge| !edge.end_position.is_empty()).count()),
        ("14", 1)
    );

    for (as_of, code) in [
        ("1970-01-02T00:00:00Z", Code::NotFound),
        ("3", Code::NotFound),
        ("soon", Code::InvalidArgument),
        ("2100-01-01T00:00:00Z", Code::OutOfRange),
        ("1000000", Code::OutOfRange),
    ] {
        let asked = GetLineageRequest { as_of: as_of.into(), ..ask(ALIAS, LineageDirection::Upstream) };
        let refused = house.lineage().get_lineage(house.of(ADMIN, asked)).await.unwrap_err();
        assert_eq!(refused.code(), code, "{as_of}");
    }
}

#[tokio::test]
async fn nothing_is_found_through_what_the_caller_may_not_see() {
    let house = House::new().await;
    story(&house).await;
    // A run of project b stands between two things of project a.
    let between = "projects/b/experiments/1/runs/x";
    let dataset = |project: &str| format!("{project}/datasets/shared/versions/v");
    house.record("experiments.run", between, ADMIN, &RunCreated { run: between.into(), ..Default::default() }).await;
    let version = "projects/a/models/n/versions/1";
    let created = ModelVersionCreated { version: version.into(), source_run: between.into(), ..Default::default() };
    house.record("registry.version", version, ADMIN, &created).await;
    let input = DatasetInput { display_name: "shared".into(), digest: "v".into(), ..Default::default() };
    let inputs = InputsLogged { run: between.into(), datasets: vec![input], models: vec![] };
    house.record("experiments.run", between, ADMIN, &inputs).await;

    let all = lineage(&house, ADMIN, ask(version, LineageDirection::Upstream)).await;
    assert_eq!(names(&all), BTreeSet::from([version, between, &dataset("projects/b")]));
    let own = lineage(&house, MANAGER, ask(version, LineageDirection::Both)).await;
    assert_eq!((names(&own), own.edges.len(), own.truncated), (BTreeSet::from([version]), 0, false));
    let refused = house.lineage().get_lineage(house.of(MANAGER, ask(between, LineageDirection::Both))).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let asked = FindLineagePathRequest { from: version.into(), to: between.into(), ..Default::default() };
    let refused = house.lineage().find_lineage_path(house.of(MANAGER, asked)).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);

    let list = |principal| {
        let asked = ListLineageNodesRequest::default();
        let request = house.of(principal, asked);
        async { house.lineage().list_lineage_nodes(request).await.map(|answer| answer.into_inner().nodes) }
    };
    assert!(list(MANAGER).await.unwrap().iter().all(|node| node.name.starts_with("projects/a/")));
    assert_eq!(list(GUEST).await.unwrap_err().code(), Code::PermissionDenied);
    let shown =
        export(&house, MANAGER, ExportLineageRequest { format: LineageFormat::Graphml.into(), ..Default::default() });
    assert!(!shown.await.contains("projects/b/"));
    let shown = export(&house, MANAGER, ExportLineageRequest::default()).await;
    assert!(shown.contains(RUN) && !shown.contains("projects/b/"));
}

#[tokio::test]
async fn nodes_are_listed_by_type_and_by_what_people_call_them() {
    let house = House::new().await;
    story(&house).await;
    let list = |asked: ListLineageNodesRequest| {
        let request = house.of(ADMIN, asked);
        async { house.lineage().list_lineage_nodes(request).await.unwrap().into_inner() }
    };
    let by_label = list(ListLineageNodesRequest { label: "s3://bucket/train".into(), ..Default::default() }).await;
    assert_eq!(by_label.nodes[0].name, SOURCE);
    let runs = list(ListLineageNodesRequest { r#type: "run".into(), page_size: 1, ..Default::default() }).await;
    assert_eq!(runs.nodes[0].name, RUN);
    let rest = ListLineageNodesRequest { r#type: "run".into(), page_token: runs.next_page_token, ..Default::default() };
    let rest = list(rest).await;
    assert_eq!((rest.nodes[0].name.as_str(), rest.next_page_token.as_str()), ("projects/a/runs/p", ""));
    let below = list(ListLineageNodesRequest { resource: MODEL.into(), ..Default::default() }).await;
    assert_eq!(below.nodes.len(), 2);
}

#[tokio::test]
async fn an_export_in_openlineage_tells_each_run_from_start_to_end() {
    let house = House::new().await;
    story(&house).await;
    let text = export(&house, ADMIN, ExportLineageRequest::default()).await;
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let runs: Vec<_> = events.iter().filter_map(|event| event["eventType"].as_str()).collect();
    assert_eq!(runs, ["START", "OTHER", "OTHER", "COMPLETE", "OTHER"]);
    let end = events.iter().find(|event| event["eventType"] == "COMPLETE").unwrap();
    assert_eq!((end["inputs"][0]["name"].as_str(), end["outputs"][0]["name"].as_str()), (Some(DATA), Some(LOGGED)));
    assert_eq!(end["job"]["name"], "projects/a/experiments/1");
    assert_eq!(end["run"]["facets"]["parent"]["job"]["namespace"], "cairn");
    let named = events.iter().find(|event| event["job"]["name"] == format!("named {ALIAS}")).unwrap();
    assert_eq!(named["outputs"][0]["name"], ALIAS);
    // The address is told as others know it.
    assert!(events.iter().any(|event| event["inputs"][0]["namespace"] == "s3://bucket"));

    let rest = ExportLineageRequest { after_position: "12".into(), ..Default::default() };
    let rest = export(&house, ADMIN, rest).await;
    assert!(text.ends_with(&rest) && rest.lines().count() < events.len() && !rest.is_empty());
}

#[tokio::test]
async fn an_export_that_follows_goes_on_with_what_happens() {
    let house = House::new().await;
    story(&house).await;
    let asked = ExportLineageRequest { after_position: house.head().to_string(), follow: true, ..Default::default() };
    let mut pieces = house.lineage().export_lineage(house.of(ADMIN, asked)).await.unwrap().into_inner();
    assert!(pieces.message().await.unwrap().unwrap().data.is_empty(), "it begins at once");
    let run = "projects/a/experiments/1/runs/later";
    let created = RunCreated { run: run.into(), state: RunState::Running.into(), ..Default::default() };
    house.record("experiments.run", run, ADMIN, &created).await;
    let piece = tokio::time::timeout_at(soon(), pieces.message()).await.unwrap().unwrap().unwrap();
    let event: serde_json::Value = serde_json::from_slice(&piece.data).unwrap();
    assert_eq!(
        (event["eventType"].as_str(), event["run"]["facets"]["cairn_resource"]["name"].as_str()),
        (Some("START"), Some(run))
    );
}

#[tokio::test]
async fn an_export_as_graphml_has_every_node_and_edge() {
    let house = House::new().await;
    story(&house).await;
    let asked = ExportLineageRequest { format: LineageFormat::Graphml.into(), ..Default::default() };
    let text = export(&house, ADMIN, asked).await;
    assert_eq!((text.matches("<node ").count(), text.matches("<edge ").count()), (8, 8));
    assert!(text.starts_with("<?xml") && text.ends_with("</graphml>\n") && text.contains(DATA));
}

#[tokio::test]
async fn a_promotion_comes_from_the_versions_it_was_asked_for() {
    let house = House::new().await;
    story(&house).await;
    let promotion = format!("{MODEL}/promotions/1");
    let moves = vec![PromotionMove { version: 1, ..Default::default() }];
    let requested = PromotionRequested { promotion: promotion.clone(), moves, ..Default::default() };
    house.record("registry.model", MODEL, ADMIN, &requested).await;
    let up = GetLineageRequest { depth: 1, ..ask(&promotion, LineageDirection::Upstream) };
    let up = lineage(&house, ADMIN, up).await;
    assert_eq!(up.nodes[1].name, format!("{MODEL}/versions/1"));
    assert_eq!((up.nodes[0].state.as_str(), up.edges[0].relation.as_str()), ("requested", "proposed"));
}

#[tokio::test]
async fn the_graph_equals_its_rebuild() {
    let house = House::new().await;
    story(&house).await;
    version(&house, 2).await;
    alias(&house, 2).await;
    house.graph().reached(house.head(), soon()).await.unwrap();
    let verdict = house.graph().verify().await.unwrap();
    assert!(verdict.is_equal(), "{verdict:?}");
    assert_eq!(house.graph().state().quarantined, 0);
}
