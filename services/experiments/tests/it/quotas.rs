//! What a project's quota lets in: runs, runs at work, and bytes of artifacts.

use std::sync::Arc;

use cairn_access::{Access, Change, Grant, Keyring, ProjectQuota, Roles, Standing, World};
use cairn_contract::cairn::experiments::v1 as proto;
use cairn_contract::cairn::experiments::v1::artifact_service_client::ArtifactServiceClient;
use cairn_contract::cairn::experiments::v1::run_service_client::RunServiceClient;
use cairn_contract::cairn::experiments::v1::usage_service_client::UsageServiceClient;
use cairn_contract::google::api::HttpBody;
use cairn_eventstore::{Commands, EventStore, Memory};
use cairn_experiments::app::{Call, RunDraft};
use cairn_experiments::model::{ExperimentName, RunName, RunState};
use cairn_experiments::query::RunCount;
use cairn_experiments::{Config, Settings, artifacts, logs, mount};
use cairn_kernel::{Clock, Expected, Position, Principal, PrincipalKind, SystemClock};
use cairn_service::guard::{GuardLayer, Limits, PRINCIPAL};
use cairn_service::{Deps, InProcess, Refusal};
use futures::future::join_all;
use tempfile::TempDir;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::support::{Service, call, project, request};

fn runs_max(max: u64) -> ProjectQuota {
    ProjectQuota { runs_max: Some(max), ..ProjectQuota::default() }
}

fn running_max(max: u64) -> ProjectQuota {
    ProjectQuota { concurrent_runs_max: Some(max), ..ProjectQuota::default() }
}

fn within(quota: ProjectQuota) -> Call {
    Call { quota, ..call() }
}

async fn begin(service: &Service, call: &Call, experiment: &ExperimentName) -> Result<RunName, Refusal> {
    Ok(service.app.create_run(call, experiment, RunDraft::default()).await?.value.name)
}

async fn count(service: &Service) -> RunCount {
    service.app.query().run_count(&project()).await.unwrap()
}

fn value<'a>(refusal: &'a Refusal, key: &str) -> &'a str {
    refusal.metadata.iter().find(|(name, _)| *name == key).map_or("", |(_, value)| value)
}

#[tokio::test]
async fn a_run_too_many_is_refused_and_a_deleted_one_leaves_its_room_to_another() {
    let service = Service::new();
    let experiment = service.experiment("a").await;
    let two = within(runs_max(2));
    let first = begin(&service, &two, &experiment).await.unwrap();
    begin(&service, &two, &experiment).await.unwrap();
    let refused = begin(&service, &two, &experiment).await.unwrap_err();
    assert_eq!(refused.reason, "QUOTA_EXCEEDED");
    assert_eq!(
        ["quota", "limit", "used", "project"].map(|key| value(&refused, key)),
        ["runs_max", "2", "2", "projects/p"]
    );
    let elsewhere = experiment.run("elsewhere").unwrap();
    let import = service.app.import_run(&two, &elsewhere, RunDraft::default(), "m".into()).await;
    assert_eq!(import.unwrap_err().reason, "QUOTA_EXCEEDED", "wherever it comes from");

    service.app.delete_run(&two, &first, Expected::Any).await.unwrap();
    begin(&service, &two, &experiment).await.unwrap();
    let back = service.app.restore_run(&two, &first, Expected::Any).await.unwrap_err();
    assert_eq!(back.reason, "QUOTA_EXCEEDED", "it would be a third");
    service.app.restore_run(&within(runs_max(3)), &first, Expected::Any).await.unwrap();
    assert_eq!(count(&service).await, RunCount { runs: 3, running: 3 });
    begin(&service, &call(), &experiment).await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_repeated_is_answered_as_the_first_time_however_full_it_is() {
    let service = Service::new();
    let experiment = service.experiment("a").await;
    let asked = |id| Call { quota: runs_max(1), ..request(id) };
    let first = begin(&service, &asked("one"), &experiment).await.unwrap();
    assert_eq!(begin(&service, &asked("one"), &experiment).await.unwrap(), first);
    assert_eq!(begin(&service, &asked("two"), &experiment).await.unwrap_err().reason, "QUOTA_EXCEEDED");
}

#[tokio::test]
async fn a_run_at_work_too_many_is_refused_wherever_it_would_begin_to_work() {
    let service = Service::new();
    let experiment = service.experiment("a").await;
    let one = within(running_max(1));
    let first = begin(&service, &one, &experiment).await.unwrap();
    let refused = begin(&service, &one, &experiment).await.unwrap_err();
    assert_eq!((refused.reason, value(&refused, "quota")), ("QUOTA_EXCEEDED", "concurrent_runs_max"));

    let draft = RunDraft { state: RunState::Scheduled, ..RunDraft::default() };
    let waiting = service.app.create_run(&one, &experiment, draft).await.unwrap().value.name;
    let start = || service.app.amend_run(&one, &waiting, Some(RunState::Running), None, None);
    assert_eq!(start().await.unwrap_err().reason, "QUOTA_EXCEEDED");
    // One that is at work already takes no more room by saying so.
    service.app.amend_run(&one, &first, Some(RunState::Running), None, None).await.unwrap();

    service.app.finish_run(&one, &first, Expected::Any, RunState::Finished, None).await.unwrap();
    start().await.unwrap();
    assert_eq!(count(&service).await, RunCount { runs: 2, running: 1 });
    let again = service.app.amend_run(&one, &first, Some(RunState::Running), None, None).await;
    assert_eq!(again.unwrap_err().reason, "QUOTA_EXCEEDED", "that ended and would go on");

    service.app.delete_run(&one, &waiting, Expected::Any).await.unwrap();
    assert_eq!(count(&service).await, RunCount { runs: 1, running: 0 }, "what is deleted is not at work");
    begin(&service, &one, &experiment).await.unwrap();
    let back = service.app.restore_run(&one, &waiting, Expected::Any).await.unwrap_err();
    assert_eq!(value(&back, "quota"), "concurrent_runs_max");
}

#[tokio::test]
async fn the_runs_of_a_deleted_experiment_count_no_more_and_come_back_only_where_there_is_room() {
    let service = Service::new();
    let (experiment, other) = (service.experiment("a").await, service.experiment("b").await);
    let three = within(runs_max(3));
    let first = begin(&service, &three, &experiment).await.unwrap();
    begin(&service, &three, &experiment).await.unwrap();
    service.app.delete_run(&three, &first, Expected::Any).await.unwrap();
    service.app.delete_experiment(&three, &experiment, Expected::Any).await.unwrap();
    assert_eq!(count(&service).await, RunCount::default());
    for _ in 0..3 {
        begin(&service, &three, &other).await.unwrap();
    }
    let back = service.app.restore_experiment(&three, &experiment, Expected::Any).await.unwrap_err();
    assert_eq!((back.reason, value(&back, "asked")), ("QUOTA_EXCEEDED", "1"), "the deleted one does not come back");
    service.app.restore_experiment(&within(runs_max(4)), &experiment, Expected::Any).await.unwrap();
    assert_eq!(count(&service).await, RunCount { runs: 4, running: 4 });
    // There already: nothing comes back.
    service.app.restore_experiment(&within(runs_max(0)), &experiment, Expected::Any).await.unwrap();

    let rebuilt = Service::over(service.store.clone(), Config::default());
    rebuilt.view.reached(service.view.position(), call().deadline).await.unwrap();
    assert_eq!(count(&rebuilt).await, count(&service).await, "counted anew, it is the same");
}

#[tokio::test]
async fn however_many_begin_at_once_no_more_get_in_than_there_is_room_for() {
    let service = Service::new();
    let experiment = service.experiment("a").await;
    let quota = ProjectQuota { runs_max: Some(9), concurrent_runs_max: Some(7), ..ProjectQuota::default() };
    let five = within(quota);
    let asked = join_all((0..40).map(|_| begin(&service, &five, &experiment))).await;
    let refused: Vec<_> = asked.iter().filter_map(|asked| asked.as_ref().err()).collect();
    assert_eq!(refused.len(), 33);
    assert!(refused.iter().all(|refusal| refusal.reason == "QUOTA_EXCEEDED"), "{refused:?}");
    assert_eq!(count(&service).await, RunCount { runs: 7, running: 7 });
}

/// The whole service behind its guard, in a project with a quota and in one without.
struct Door {
    process: InProcess,
    access: Arc<Access>,
    _folder: TempDir,
}

impl Door {
    async fn new(quota: ProjectQuota) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, clock): (Arc<dyn EventStore>, Arc<dyn Clock>) = (Arc::new(Memory::new()), Arc::new(SystemClock));
        let access = Access::fixed(world(quota), Arc::clone(&clock), Arc::new(Keyring::generate()));
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

    fn by<T>(&self, message: T) -> Request<T> {
        let name = "users/ada".to_owned();
        let principal = Principal { name, kind: PrincipalKind::User, credential: None, scopes: vec![] };
        let mut request = Request::new(message);
        request.metadata_mut().insert(PRINCIPAL, self.access.sign(&principal).unwrap().parse().unwrap());
        request
    }

    fn artifacts(&self) -> ArtifactServiceClient<InProcess> {
        ArtifactServiceClient::new(self.process.clone())
    }

    async fn run(&self, project: &str) -> Result<String, Status> {
        let parent = format!("{project}/experiments/0");
        let message = proto::CreateRunRequest { parent, ..Default::default() };
        let mut runs = RunServiceClient::new(self.process.clone());
        Ok(runs.create_run(self.by(message)).await?.into_inner().name)
    }

    /// Uploads so many bytes, in pieces.
    async fn upload(&self, run: &str, path: &str, size: usize) -> Result<proto::Artifact, Status> {
        let piece = |size| HttpBody { data: vec![7; size].into(), ..HttpBody::default() };
        let mut messages = vec![proto::UploadArtifactRequest {
            parent: run.to_owned(),
            path: path.to_owned(),
            content: Some(piece(size / 2)),
            ..Default::default()
        }];
        let content = Some(piece(size - size / 2));
        messages.push(proto::UploadArtifactRequest { content, ..Default::default() });
        let request = self.by(futures::stream::iter(messages));
        Ok(self.artifacts().upload_artifact(request).await?.into_inner())
    }

    async fn usage(&self, project: &str, as_of: &str) -> proto::ProjectUsage {
        let message = proto::GetProjectUsageRequest { name: project.to_owned(), as_of: as_of.to_owned() };
        UsageServiceClient::new(self.process.clone()).get_project_usage(self.by(message)).await.unwrap().into_inner()
    }
}

fn world(quota: ProjectQuota) -> World {
    let mut world = World::default();
    let principal = "users/ada".to_owned();
    world.apply(Change::PrincipalIs { principal: principal.clone(), standing: Standing::Active }, Position(1));
    for project in ["projects/p", "projects/q"] {
        let project: cairn_kernel::Name = project.parse().unwrap();
        world.apply(Change::ProjectOpened { project: project.clone() }, Position(2));
        let role = Roles::built_in().find("roles/editor").cloned();
        let grant = Grant { binding: format!("bindings/{project}"), role, resource: project, ..Grant::default() };
        world.apply(Change::Granted { principal: principal.clone(), grant }, Position(3));
    }
    world.apply(Change::QuotaSet { project: "projects/p".parse().unwrap(), quota }, Position(4));
    world
}

fn told(status: &Status) -> (Code, String, std::collections::HashMap<String, String>) {
    let info = status.get_details_error_info().expect("a refusal says why");
    (status.code(), info.reason, info.metadata)
}

#[tokio::test]
async fn bytes_beyond_the_quota_are_refused_and_what_is_deleted_or_replaced_leaves_its_room() {
    let door = Door::new(ProjectQuota { storage_bytes_max: Some(1000), ..ProjectQuota::default() }).await;
    let (run, elsewhere) = (door.run("projects/p").await.unwrap(), door.run("projects/q").await.unwrap());
    door.upload(&run, "a", 600).await.unwrap();
    let (code, reason, values) = told(&door.upload(&run, "b", 401).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
    assert_eq!([&values["quota"], &values["limit"], &values["used"]], ["storage_bytes_max", "1000", "600"]);
    door.upload(&run, "b", 400).await.unwrap();
    door.upload(&elsewhere, "b", 100_000).await.unwrap();

    // As much in its place takes no more, and so may be sent again; less leaves room.
    door.upload(&run, "a", 600).await.unwrap();
    assert_eq!(told(&door.upload(&run, "a", 601).await.unwrap_err()).1, "QUOTA_EXCEEDED");
    door.upload(&run, "a", 100).await.unwrap();
    door.upload(&run, "c", 500).await.unwrap();
    door.upload(&run, "empty", 0).await.unwrap();
    let full = door.usage("projects/p", "").await;
    assert_eq!((full.storage_bytes, full.artifacts, full.runs, full.concurrent_runs), (1000, 4, 1, 1));

    let list = proto::ListArtifactsRequest { parent: run.clone(), ..Default::default() };
    let found = door.artifacts().list_artifacts(door.by(list)).await.unwrap().into_inner().artifacts;
    let found = found.into_iter().find(|artifact| artifact.path == "c").unwrap();
    let delete = proto::DeleteArtifactRequest { name: found.name, ..Default::default() };
    let deleted = door.artifacts().delete_artifact(door.by(delete)).await.unwrap();
    let position: u64 = deleted.metadata().get("cairn-position").unwrap().to_str().unwrap().parse().unwrap();
    assert_eq!(door.usage("projects/p", "").await.storage_bytes, 500);
    assert_eq!(door.usage("projects/p", &(position - 1).to_string()).await.storage_bytes, 1000, "and as it was");
    door.upload(&run, "c", 500).await.unwrap();
}

#[tokio::test]
async fn an_upload_past_the_server_is_refused_where_it_begins_and_where_it_ends() {
    let door = Door::new(ProjectQuota { storage_bytes_max: Some(1000), ..ProjectQuota::default() }).await;
    let run = door.run("projects/p").await.unwrap();
    let begin = |path: &str, size_bytes| proto::BeginArtifactUploadRequest {
        parent: run.clone(),
        path: path.to_owned(),
        size_bytes,
        sha256: cairn_objects::Digest::of(&vec![7; 600]).to_string(),
        ..Default::default()
    };
    let refused = door.artifacts().begin_artifact_upload(door.by(begin("a", 1001))).await.unwrap_err();
    assert_eq!(told(&refused).1, "QUOTA_EXCEEDED");
    // There is room for one of them. Who completes first has it.
    let begun = door.artifacts().begin_artifact_upload(door.by(begin("a", 600))).await.unwrap().into_inner();
    door.upload(&run, "b", 600).await.unwrap();
    let complete =
        proto::CompleteArtifactUploadRequest { parent: run.clone(), upload: begun.upload, ..Default::default() };
    let refused = door.artifacts().complete_artifact_upload(door.by(complete)).await.unwrap_err();
    assert_eq!(told(&refused).1, "QUOTA_EXCEEDED");
    let parts = proto::BeginArtifactUploadRequest { part_bytes: 5 << 20, ..begin("c", 6 << 20) };
    let refused = door.artifacts().begin_artifact_upload(door.by(parts)).await.unwrap_err();
    assert_eq!(told(&refused).1, "QUOTA_EXCEEDED");
}

#[tokio::test]
async fn uploads_that_come_at_once_fit_together_or_are_refused() {
    let door = Door::new(ProjectQuota { storage_bytes_max: Some(1000), ..ProjectQuota::default() }).await;
    let run = door.run("projects/p").await.unwrap();
    let uploads = (0..12).map(|at| {
        let (door, run, path) = (&door, &run, format!("file-{at}"));
        async move { door.upload(run, &path, 300).await }
    });
    let done = join_all(uploads).await;
    assert_eq!(done.iter().filter(|upload| upload.is_ok()).count(), 3);
    assert_eq!(door.usage("projects/p", "").await.storage_bytes, 900);
}

#[tokio::test]
async fn through_the_door_the_quota_is_that_of_the_project_and_of_no_other() {
    let door = Door::new(runs_max(1)).await;
    door.run("projects/p").await.unwrap();
    let (code, reason, values) = told(&door.run("projects/p").await.unwrap_err());
    assert_eq!(
        (code, reason.as_str(), values["quota"].as_str()),
        (Code::ResourceExhausted, "QUOTA_EXCEEDED", "runs_max")
    );
    for _ in 0..3 {
        door.run("projects/q").await.unwrap();
    }
    assert_eq!(door.usage("projects/q", "").await.runs, 3);
}
