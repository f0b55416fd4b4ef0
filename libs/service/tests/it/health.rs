use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_eventstore::{EventStore, Filter, Memory, NewEvent, Recorded, Write};
use cairn_kernel::{Expected, StreamName};
use cairn_projection::rusqlite::Transaction;
use cairn_projection::{Projection, ProjectionFault, ReadModel, View};
use cairn_service::health::{ComponentCheck, Config, Health, HealthCheck, Probe, State, StorageCheck, ViewsCheck};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use uuid::Uuid;

/// Says what it is told to.
#[derive(Clone)]
struct Told {
    name: &'static str,
    state: Arc<Mutex<State>>,
    gates: bool,
}

impl Told {
    fn new(name: &'static str, gates: bool) -> Self {
        Self { name, state: Arc::new(Mutex::new(State::Healthy)), gates }
    }

    fn becomes(&self, state: State) {
        *self.state.lock() = state;
    }
}

#[async_trait]
impl HealthCheck for Told {
    fn name(&self) -> &str {
        self.name
    }

    async fn check(&self) -> (State, String) {
        (*self.state.lock(), format!("{} as told", self.name))
    }

    fn gates_readiness(&self) -> bool {
        self.gates
    }
}

fn config() -> Config {
    Config { recover_after: 1, ..Config::default() }
}

#[tokio::test]
async fn the_worst_part_decides_and_only_some_gate_readiness_s3_32() {
    let (health, _) = Health::new(&config());
    let (views, disk) = (Told::new("views", true), Told::new("disk", false));
    health.register(views.clone());
    health.register(disk.clone());
    assert!(!health.report().is_ready, "nothing is known before the first round");

    let mut seen = vec![];
    for (views_state, disk_state) in [
        (State::Healthy, State::Healthy),
        (State::Warning, State::Healthy),
        (State::Healthy, State::Unhealthy),
        (State::Unhealthy, State::Healthy),
        (State::Healthy, State::Healthy),
    ] {
        views.becomes(views_state);
        disk.becomes(disk_state);
        health.round().await;
        let report = health.report();
        seen.push((
            report.status,
            report.is_ready,
            report.http_status(Probe::Ready).as_u16(),
            report.http_status(Probe::Health).as_u16(),
        ));
    }
    assert_eq!(
        seen,
        [
            (State::Healthy, true, 200, 200),
            (State::Warning, true, 200, 200),
            (State::Unhealthy, true, 200, 503),
            (State::Unhealthy, false, 503, 503),
            (State::Healthy, true, 200, 200),
        ]
    );
}

#[tokio::test]
async fn a_process_lives_while_its_event_loop_runs_whatever_else_is_down_s3_37() {
    let (health, _) = Health::new(&config());
    let part = Told::new("dependency", true);
    part.becomes(State::Unhealthy);
    health.register(part);
    health.round().await;
    let report = health.report();
    assert_eq!((report.http_status(Probe::Live).as_u16(), report.http_status(Probe::Ready).as_u16()), (200, 503));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["status"], "unhealthy");
    assert_eq!(json["components"][0]["name"], "dependency");
    assert_eq!(json["components"][0]["message"], "dependency as told");
}

#[tokio::test]
async fn a_process_about_to_stop_is_not_ready() {
    let (health, _) = Health::new(&config());
    health.round().await;
    assert!(health.report().is_ready);
    health.stop_serving().await;
    assert!(!health.report().is_ready);
}

#[tokio::test]
async fn a_check_registered_again_replaces_the_earlier_one() {
    let (health, _) = Health::new(&config());
    let (first, second) = (Told::new("part", true), Told::new("part", true));
    first.becomes(State::Unhealthy);
    health.register(first);
    health.register(second);
    health.round().await;
    assert_eq!(health.report().components.len(), 1);
    assert_eq!(health.report().status, State::Healthy);
}

/// Folds nothing, and only when it is let.
struct Slow {
    gate: watch::Receiver<bool>,
}

impl Projection for Slow {
    const NAME: &'static str = "test.slow.v1";
    const SCHEMA: &'static str = "CREATE TABLE seen (id INTEGER)";

    fn filter(&self) -> Filter {
        Filter::all()
    }

    fn apply(&self, _: &Transaction<'_>, _: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        // On the view's own thread.
        drop(futures::executor::block_on(self.gate.clone().wait_for(|is_open| *is_open)));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_ready_only_while_its_views_keep_up_s3_38() {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(Memory::new());
    let (gate, is_open) = watch::channel(true);
    let model = ReadModel::open(&folder.path().join("slow.sqlite"), 1).unwrap();
    let view = View::start(store.clone(), &model, Slow { gate: is_open }).unwrap();
    let config = Config { lag_max: 2, ..config() };
    let (health, _) = Health::new(&config);
    health.register(ViewsCheck::new(vec![view.clone()], &config));

    let append = |count: usize| {
        let event = || NewEvent {
            id: Uuid::new_v4(),
            kind: "test".into(),
            payload: Default::default(),
            metadata: Default::default(),
        };
        let events = std::iter::repeat_with(event).take(count).collect();
        store.append(vec![Write {
            stream: StreamName::stored("test-1"),
            expected: Expected::Any,
            follows: None,
            events,
        }])
    };
    let soon = || Instant::now() + Duration::from_secs(20);
    let first = append(1).await.unwrap().position;
    view.reached(first, soon()).await.unwrap();
    health.round().await;
    assert_eq!(health.report().http_status(Probe::Ready), 200);

    gate.send(false).unwrap();
    let last = append(3).await.unwrap().position;
    health.round().await;
    let report = health.report();
    assert_eq!(report.http_status(Probe::Ready), 503);
    assert_eq!(report.components[0].message, "test.slow.v1 is 3 events behind, more than 2");

    gate.send(true).unwrap();
    view.reached(last, soon()).await.unwrap();
    health.round().await;
    assert_eq!(health.report().http_status(Probe::Ready), 200);
}

/// Never answers.
struct Silent;

#[async_trait]
impl HealthCheck for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    async fn check(&self) -> (State, String) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_part_that_does_not_answer_is_unhealthy() {
    let (health, _) = Health::new(&Config { check_timeout_ms: 5, ..config() });
    health.register(Silent);
    health.round().await;
    let report = health.report();
    assert_eq!(report.status, State::Unhealthy);
    assert_eq!(report.components[0].message, "did not answer within 5 ms");
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_written_is_unhealthy_at_the_next_check() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let (health, _) = Health::new(&config());
    health.register(StorageCheck::new(Arc::new(Memory::new()), &data));
    health.round().await;
    assert_eq!(health.report().status, State::Healthy);
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "the probe leaves nothing behind");

    // Not a change of permissions: tests may run as root.
    std::fs::remove_dir(&data).unwrap();
    health.round().await;
    let report = health.report();
    assert_eq!(report.status, State::Unhealthy);
    assert!(report.components[0].message.starts_with("the data folder cannot be written"), "{report:?}");

    std::fs::create_dir(&data).unwrap();
    health.round().await;
    assert_eq!(health.report().status, State::Healthy);
}

#[tokio::test]
async fn another_process_is_as_healthy_as_it_says_over_grpc_s3_36() {
    let (theirs, routes) = Health::new(&config());
    let part = Told::new("registry", true);
    theirs.register(part.clone());
    theirs.round().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let server = tokio::spawn(
        Server::builder().add_routes(routes).serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped),
    );
    let channel = Endpoint::from_shared(address).unwrap().connect_lazy();

    let (ours, _) = Health::new(&config());
    ours.register(ComponentCheck::new("registry", channel.clone()));
    ours.register(Told::new("experiments", true));
    ours.round().await;
    assert_eq!(ours.report().status, State::Healthy);

    part.becomes(State::Unhealthy);
    theirs.round().await;
    let mut client = HealthClient::new(channel);
    let alone = client.check(HealthCheckRequest { service: "registry".into() }).await.unwrap();
    assert_eq!(alone.into_inner().status().as_str_name(), "NOT_SERVING");
    ours.round().await;
    let states: Vec<_> = ours.report().components.into_iter().map(|part| (part.name, part.state)).collect();
    assert_eq!(states, [("registry".to_owned(), State::Unhealthy), ("experiments".to_owned(), State::Healthy)]);
    assert!(ours.report().is_ready);

    // And when it is gone altogether.
    part.becomes(State::Healthy);
    theirs.round().await;
    ours.round().await;
    assert_eq!(ours.report().status, State::Healthy);
    drop(client);
    stop.cancel();
    server.await.unwrap().unwrap();
    ours.round().await;
    let gone = &ours.report().components[0];
    assert_eq!(gone.state, State::Unhealthy);
    assert!(gone.message.starts_with("cannot be asked"), "{gone:?}");
}
