//! The contract's services behind the guard, with callers who may do different things.

use std::sync::Arc;

use cairn_access::{Access, Change, Grant, Keyring, Roles, Standing, World};
use cairn_contract::cairn::experiments::v1 as proto;
use cairn_contract::cairn::experiments::v1::experiment_service_client::ExperimentServiceClient;
use cairn_contract::cairn::experiments::v1::logged_model_service_client::LoggedModelServiceClient;
use cairn_contract::cairn::experiments::v1::metric_service_client::MetricServiceClient;
use cairn_contract::cairn::experiments::v1::run_service_client::RunServiceClient;
use cairn_eventstore::{Commands, EventStore, Memory};
use cairn_experiments::{Config, Settings, artifacts, logs, mount};
use cairn_kernel::{Clock, Position, Principal, PrincipalKind, SystemClock};
use cairn_service::guard::{GuardLayer, Limits, PRINCIPAL};
use cairn_service::{Deps, InProcess};
use tempfile::TempDir;
use tonic::{Code, Request};

use crate::support::pairs;

const ADA: &str = "users/ada";
const VISITOR: &str = "users/visitor";

struct Door {
    process: InProcess,
    access: Arc<Access>,
    _folder: TempDir,
}

impl Door {
    /// Ada manages the project; the visitor sees one experiment of it, by its id.
    async fn new(shown: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, clock): (Arc<dyn EventStore>, Arc<dyn Clock>) = (Arc::new(Memory::new()), Arc::new(SystemClock));
        let access = Access::fixed(world(shown), Arc::clone(&clock), Arc::new(Keyring::generate()));
        let deps = Deps {
            commands: Commands::new(Arc::clone(&store), Arc::clone(&clock), 1 << 20),
            store,
            access: Arc::clone(&access),
            clock,
            views_folder: folder.path().to_owned(),
            keeps_past: true,
        };
        let storage = artifacts::Config::default().open(folder.path(), "http://localhost").await.unwrap();
        let settings = Settings {
            experiments: Config::default(),
            run_logs: logs::Config::default(),
            storage,
            points: None,
            ingest: None,
        };
        let mounted = mount(&deps, settings, folder.path()).unwrap();
        let process = InProcess::new(GuardLayer::new(&deps, Limits::default()).unwrap(), [mounted.routes]);
        Self { process, access, _folder: folder }
    }

    fn by<T>(&self, principal: &str, message: T) -> Request<T> {
        let principal =
            Principal { name: principal.into(), kind: PrincipalKind::User, credential: None, scopes: vec![] };
        let mut request = Request::new(message);
        request.metadata_mut().insert(PRINCIPAL, self.access.sign(&principal).unwrap().parse().unwrap());
        request
    }

    fn experiments(&self) -> ExperimentServiceClient<InProcess> {
        ExperimentServiceClient::new(self.process.clone())
    }

    fn runs(&self) -> RunServiceClient<InProcess> {
        RunServiceClient::new(self.process.clone())
    }

    async fn experiment(&self, display_name: &str) -> proto::Experiment {
        let message = proto::CreateExperimentRequest {
            parent: "projects/p".into(),
            display_name: display_name.into(),
            ..Default::default()
        };
        self.experiments().create_experiment(self.by(ADA, message)).await.unwrap().into_inner()
    }

    async fn run(&self, experiment: &str, params: &[(&str, &str)]) -> proto::Run {
        let message =
            proto::CreateRunRequest { parent: experiment.into(), params: pairs(params), ..Default::default() };
        self.runs().create_run(self.by(ADA, message)).await.unwrap().into_inner()
    }

    async fn log(&self, message: proto::LogBatchRequest) -> Result<proto::LogBatchResponse, tonic::Status> {
        Ok(self.runs().log_batch(self.by(ADA, message)).await?.into_inner())
    }
}

fn world(shown: &str) -> World {
    let mut world = World::default();
    world.apply(Change::ProjectOpened { project: "projects/p".parse().unwrap() }, Position(1));
    for (principal, role, resource) in
        [(ADA, "roles/manager", "projects/p"), (VISITOR, "roles/viewer", &format!("projects/p/experiments/{shown}"))]
    {
        world.apply(Change::PrincipalIs { principal: principal.into(), standing: Standing::Active }, Position(2));
        let grant = Grant {
            binding: format!("bindings/{principal}"),
            role: Roles::built_in().find(role).cloned(),
            resource: resource.parse().unwrap(),
            ..Grant::default()
        };
        world.apply(Change::Granted { principal: principal.into(), grant }, Position(3));
    }
    world
}

fn point(key: &str, step: i64, value: f64) -> proto::MetricPoint {
    proto::MetricPoint { key: key.into(), value, step, ..proto::MetricPoint::default() }
}

#[tokio::test]
async fn a_batch_sent_again_is_answered_alike_and_a_changed_one_is_a_conflict_s1_42_s1_44() {
    let door = Door::new("0").await;
    let run = door.run("projects/p/experiments/0", &[]).await;
    let batch = proto::LogBatchRequest {
        name: run.name.clone(),
        batch_id: "b-1".into(),
        metrics: vec![point("loss", 0, 0.5), point("loss", 1, f64::NAN)],
        params: pairs(&[("depth", "5")]),
        ..Default::default()
    };
    let first = door.log(batch.clone()).await.unwrap();
    assert_eq!((first.metric_count, first.param_count, first.replayed), (2, 1, false));
    for request_id in ["x", "y", "z", ""] {
        let again = door.log(proto::LogBatchRequest { request_id: request_id.into(), ..batch.clone() }).await.unwrap();
        assert_eq!(again, proto::LogBatchResponse { replayed: true, ..first.clone() });
    }
    let changed = proto::LogBatchRequest { metrics: vec![point("loss", 0, 0.6)], ..batch };
    let refused = door.log(changed).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(refused.message().contains(&first.payload_sha256), "{}", refused.message());

    let message =
        proto::ListMetricPointsRequest { parent: run.name, metric: "loss".into(), page_size: 1, ..Default::default() };
    let mut metrics = MetricServiceClient::new(door.process.clone());
    let page = metrics.list_metric_points(door.by(ADA, message.clone())).await.unwrap().into_inner();
    assert_eq!((page.points[0].value, page.points.len()), (0.5, 1));
    let message = proto::ListMetricPointsRequest { page_token: page.next_page_token, ..message };
    let page = metrics.list_metric_points(door.by(ADA, message)).await.unwrap().into_inner();
    assert!(page.points[0].value.is_nan() && page.next_page_token.is_empty());
}

#[tokio::test]
async fn a_list_shows_a_caller_only_what_it_may_see() {
    let door = Door::new("0").await;
    let hidden = door.experiment("hidden").await;
    let shown = door.run("projects/p/experiments/0", &[]).await;
    let unseen = door.run(&hidden.name, &[]).await;

    let list = proto::ListExperimentsRequest { parent: "projects/p".into(), ..Default::default() };
    let seen = door.experiments().list_experiments(door.by(VISITOR, list)).await.unwrap().into_inner().experiments;
    assert_eq!(seen.iter().map(|experiment| experiment.display_name.as_str()).collect::<Vec<_>>(), ["Default"]);
    let search = proto::SearchRunsRequest { parent: "projects/p".into(), ..Default::default() };
    let seen = door.runs().search_runs(door.by(VISITOR, search.clone())).await.unwrap().into_inner().runs;
    assert_eq!(seen.iter().map(|run| &run.name).collect::<Vec<_>>(), [&shown.name]);
    let all = door.runs().search_runs(door.by(ADA, search)).await.unwrap().into_inner().runs;
    assert_eq!(all.len(), 2);

    // Under the name of an experiment that may be seen, a run of another is not there.
    let run = unseen.name.rsplit('/').next().unwrap();
    let name = format!("projects/p/experiments/0/runs/{run}");
    let refused =
        door.runs().get_run(door.by(VISITOR, proto::GetRunRequest { name, ..Default::default() })).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test]
async fn runs_are_listed_by_state_and_pages_are_bounded_s4_41() {
    let door = Door::new("0").await;
    let mut names = vec![];
    for _ in 0..3 {
        names.push(door.run("projects/p/experiments/0", &[]).await.name);
    }
    let finish = proto::FinishRunRequest { name: names[1].clone(), ..Default::default() };
    let finished = door.runs().finish_run(door.by(ADA, finish)).await.unwrap().into_inner();
    assert_eq!(finished.state(), proto::RunState::Finished);
    let list = proto::ListRunsRequest {
        parent: "projects/p".into(),
        state: proto::RunState::Running.into(),
        page_size: 100,
        ..Default::default()
    };
    let running = door.runs().list_runs(door.by(ADA, list)).await.unwrap().into_inner().runs;
    let mut running: Vec<_> = running.into_iter().map(|run| run.name).collect();
    running.sort();
    names.remove(1);
    names.sort();
    assert_eq!(running, names);

    let finish =
        proto::FinishRunRequest { name: finished.name, state: proto::RunState::Failed.into(), ..Default::default() };
    let refused = door.runs().finish_run(door.by(ADA, finish)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn ten_runs_stand_side_by_side_with_what_differs_s4_37() {
    let door = Door::new("0").await;
    let mut names = vec![];
    for depth in 0..10 {
        let run = door.run("projects/p/experiments/0", &[("depth", &depth.to_string()), ("trees", "9")]).await;
        let metrics = vec![point("auc", 0, if depth == 3 { 0.9 } else { 0.5 }), point("same", 0, f64::NAN)];
        door.log(proto::LogBatchRequest { name: run.name.clone(), metrics, ..Default::default() }).await.unwrap();
        let dataset = proto::DatasetInput { display_name: "iris".into(), digest: "d1".into(), ..Default::default() };
        let message = proto::LogInputsRequest { name: run.name.clone(), datasets: vec![dataset], ..Default::default() };
        door.runs().log_inputs(door.by(ADA, message)).await.unwrap();
        let tags = pairs(&[("mlflow.source.git.commit", "abc")]);
        let message = proto::SetRunTagsRequest { name: run.name.clone(), tags, ..Default::default() };
        door.runs().set_run_tags(door.by(ADA, message)).await.unwrap();
        names.push(run.name);
    }
    let message = proto::CompareRunsRequest {
        parent: "projects/p".into(),
        runs: names.clone(),
        differing_only: false,
        ..Default::default()
    };
    let compared = door.runs().compare_runs(door.by(ADA, message)).await.unwrap().into_inner();
    assert_eq!(compared.runs, names);
    let params: Vec<_> = compared.params.iter().map(|row| (row.key.as_str(), row.differs)).collect();
    assert_eq!(params, [("depth", true), ("trees", false)]);
    assert_eq!(compared.params[0].cells[7].value.as_deref(), Some("7"));
    let metrics: Vec<_> = compared.metrics.iter().map(|row| (row.key.as_str(), row.differs)).collect();
    assert_eq!(metrics, [("auc", true), ("same", false)]);
    assert_eq!((compared.datasets.len(), compared.code.len()), (1, 1));

    let message = proto::CompareRunsRequest {
        parent: "projects/p".into(),
        runs: names,
        differing_only: true,
        ..Default::default()
    };
    let compared = door.runs().compare_runs(door.by(ADA, message)).await.unwrap().into_inner();
    assert_eq!((compared.params.len(), compared.metrics.len(), compared.code.len()), (1, 1, 0));
}

#[tokio::test]
async fn runs_are_compared_by_whoever_may_see_each_of_them() {
    let door = Door::new("0").await;
    let hidden = door.experiment("hidden").await;
    let shown =
        [door.run("projects/p/experiments/0", &[]).await.name, door.run("projects/p/experiments/0", &[]).await.name];
    let unseen = door.run(&hidden.name, &[]).await.name;
    let compare = |runs: Vec<String>| proto::CompareRunsRequest {
        parent: "projects/p".into(),
        runs,
        differing_only: false,
        ..Default::default()
    };
    let compared = door.runs().compare_runs(door.by(VISITOR, compare(shown.to_vec()))).await.unwrap().into_inner();
    assert_eq!(compared.runs, shown);
    let with_unseen = compare(vec![shown[0].clone(), unseen.clone()]);
    let refused = door.runs().compare_runs(door.by(VISITOR, with_unseen.clone())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(door.runs().compare_runs(door.by(ADA, with_unseen)).await.is_ok());
    // Under the name of what may be seen, the other is not there.
    let renamed = format!("projects/p/experiments/0/runs/{}", unseen.rsplit('/').next().unwrap());
    let refused = door.runs().compare_runs(door.by(VISITOR, compare(vec![renamed]))).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test]
async fn a_change_with_a_stale_etag_or_an_unknown_field_is_refused() {
    let door = Door::new("0").await;
    let run = door.run("projects/p/experiments/0", &[]).await;
    let rename = |etag: &str, path: &str| proto::UpdateRunRequest {
        run: Some(proto::Run {
            name: run.name.clone(),
            display_name: "second".into(),
            etag: etag.into(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec![path.into()] }),
        ..Default::default()
    };
    let renamed = door.runs().update_run(door.by(ADA, rename(&run.etag, "display_name"))).await.unwrap().into_inner();
    assert_eq!((renamed.display_name.as_str(), renamed.tags["mlflow.runName"].as_str()), ("second", "second"));
    let refused = door.runs().update_run(door.by(ADA, rename(&run.etag, "display_name"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    let refused = door.runs().update_run(door.by(ADA, rename("", "state"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_search_that_is_not_understood_says_where() {
    let door = Door::new("0").await;
    let list =
        proto::ListRunsRequest { parent: "projects/p".into(), filter: "metrics.a > 'x'".into(), ..Default::default() };
    let refused = door.runs().list_runs(door.by(ADA, list)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("character 13"), "{}", refused.message());
}

#[tokio::test]
async fn a_logged_model_is_announced_finalized_listed_and_deleted() {
    let door = Door::new("0").await;
    let run = door.run("projects/p/experiments/0", &[]).await;
    let mut models = LoggedModelServiceClient::new(door.process.clone());
    let message = proto::CreateLoggedModelRequest {
        parent: "projects/p/experiments/0".into(),
        display_name: "ranker".into(),
        source_run: run.name.clone(),
        params: pairs(&[("depth", "5")]),
        ..Default::default()
    };
    let model = models.create_logged_model(door.by(ADA, message)).await.unwrap().into_inner();
    assert_eq!((model.state(), &model.source_run), (proto::LoggedModelState::Pending, &run.name));
    let message = proto::FinalizeLoggedModelRequest {
        name: model.name.clone(),
        state: proto::LoggedModelState::Ready.into(),
        ..Default::default()
    };
    models.finalize_logged_model(door.by(ADA, message)).await.unwrap();
    let list = proto::ListLoggedModelsRequest {
        parent: "projects/p".into(),
        filter: "status = 'READY' AND params.depth = '5'".into(),
        order_by: "name DESC".into(),
        ..Default::default()
    };
    let listed = models.list_logged_models(door.by(ADA, list.clone())).await.unwrap().into_inner().logged_models;
    assert_eq!(listed.len(), 1);
    let message = proto::DeleteLoggedModelRequest { name: model.name.clone(), ..Default::default() };
    models.delete_logged_model(door.by(ADA, message)).await.unwrap();
    assert!(models.list_logged_models(door.by(ADA, list)).await.unwrap().into_inner().logged_models.is_empty());
    let get = proto::GetLoggedModelRequest { name: model.name, ..Default::default() };
    assert_eq!(models.get_logged_model(door.by(ADA, get)).await.unwrap_err().code(), Code::NotFound);
}
