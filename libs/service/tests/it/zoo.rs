//! A process with one service of its own contract, behind the guard.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use cairn_access::{Access, Change, Grant, Keyring, Roles, Standing, World};
use cairn_contract::Contract;
use cairn_eventstore::{Commands, Direction, EventStore, Filter, Memory, Recorded};
use cairn_kernel::{Clock, Code, Position, Principal, PrincipalKind, SystemClock};
use cairn_service::guard::{GuardLayer, Limits, PRINCIPAL};
use cairn_service::{Ctx, Deps, InProcess, Refusal, refuse};
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};
use tokio::sync::Notify;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

/// Permissions are words of the real contract, because roles are made of those.
const CONTRACT: &str = r#"
syntax = "proto3";
package cairn.zoo.v1;
import "cairn/options/v1/options.proto";
import "google/api/annotations.proto";
// Lions.
service ZooService {
  // Reads.
  rpc GetLion(LionRequest) returns (Lion) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = { get: "/api/v1/{name=projects/*/lions/*}" };
    option (cairn.options.v1.access) = { permission: "experiments.runs.get" resource: "{name}" audit: AUDIT_NONE };
  }
  // Reads, and it is recorded.
  rpc InspectLion(LionRequest) returns (Lion) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = { get: "/api/v1/{name=projects/*/lions/*}:inspect" };
    option (cairn.options.v1.access) = { permission: "experiments.runs.get" resource: "{name}" audit: AUDIT_REQUEST };
  }
  // Changes.
  rpc FeedLion(LionRequest) returns (Lion) {
    option (google.api.http) = { post: "/api/v1/{name=projects/*/lions/*}:feed" body: "*" };
    option (cairn.options.v1.access) = { permission: "experiments.runs.delete" resource: "{name}" audit: AUDIT_NONE };
    option (cairn.options.v1.writes) = { unwritten: UNWRITTEN_BESIDE };
  }
  // Changes, and the request is recorded.
  rpc MoveLion(LionRequest) returns (Lion) {
    option (google.api.http) = { post: "/api/v1/{name=projects/*/lions/*}:move" body: "*" };
    option (cairn.options.v1.access) = { permission: "experiments.runs.delete" resource: "{name}" audit: AUDIT_REQUEST };
    option (cairn.options.v1.writes) = { unwritten: UNWRITTEN_BESIDE };
  }
  // Streams.
  rpc WatchLion(LionRequest) returns (stream Lion) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = { get: "/api/v1/{name=projects/*/lions/*}:watch" };
    option (cairn.options.v1.access) = { permission: "experiments.runs.get" resource: "{name}" audit: AUDIT_METADATA };
  }
  // Streams in.
  rpc PaintLion(stream LionRequest) returns (Lion) {
    option (google.api.http) = { post: "/api/v1/{name=projects/*/lions/*}:paint" body: "*" };
    option (cairn.options.v1.access) = { permission: "experiments.runs.delete" resource: "{name}" audit: AUDIT_NONE };
    option (cairn.options.v1.writes) = { unwritten: UNWRITTEN_BESIDE };
  }
  // For everybody.
  rpc ShowPrices(LionRequest) returns (Lion) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = { get: "/api/v1/prices" };
    option (cairn.options.v1.access) = { public: true audit: AUDIT_NONE };
  }
}
// Asks.
message LionRequest {
  // Which.
  string name = 1;
  // What it gets, and how the service behaves.
  string food = 2;
  // Not for others.
  string secret = 3 [debug_redact = true];
  // Makes a retry safe.
  string request_id = 4;
}
// Answers.
message Lion {
  // What the service saw.
  string seen = 1;
}
"#;

pub const LION: &str = "projects/fraud/lions/leo";

#[derive(Clone, PartialEq, prost::Message)]
pub struct LionRequest {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub food: String,
    #[prost(string, tag = "3")]
    pub secret: String,
    #[prost(string, tag = "4")]
    pub request_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Lion {
    #[prost(string, tag = "1")]
    pub seen: String,
}

/// A request about the lion of project `fraud`; `food` says how the service behaves.
pub fn about_leo(food: &str) -> Request<LionRequest> {
    Request::new(LionRequest { name: LION.into(), food: food.into(), secret: "s3cr3t".into(), ..Default::default() })
}

pub fn contract() -> &'static Contract {
    static CONTRACT_LOADED: LazyLock<Contract> = LazyLock::new(|| {
        let mut resolver = ChainFileResolver::new();
        resolver.add(Inline);
        resolver.add(IncludeFileResolver::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto")));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).include_source_info(true);
        compiler.open_files([Inline::FILE, "cairn/errors/v1/reason.proto"]).unwrap();
        Contract::decode(&compiler.encode_file_descriptor_set()).unwrap()
    });
    &CONTRACT_LOADED
}

struct Inline;

impl Inline {
    const FILE: &str = "cairn/zoo/v1/zoo.proto";
}

impl FileResolver for Inline {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == Self::FILE { File::from_source(name, CONTRACT) } else { Err(protox::Error::file_not_found(name)) }
    }
}

/// Lets a test wait for a handler, and a handler for a test.
#[derive(Default)]
pub struct Gate {
    pub entered: Notify,
    pub open: Notify,
}

/// The process.
pub struct Zoo {
    pub store: Arc<dyn EventStore>,
    pub access: Arc<Access>,
    pub gate: Arc<Gate>,
    pub process: InProcess,
}

impl Zoo {
    /// `users/keeper` is the manager of project `fraud`; `users/visitor` is known and may do nothing.
    pub fn new() -> Self {
        Self::over(Arc::new(Memory::new()))
    }

    pub fn over(store: Arc<dyn EventStore>) -> Self {
        let access = Access::fixed(world(), Arc::new(SystemClock), Arc::new(Keyring::generate()));
        Self::with_access(store, access)
    }

    pub fn with_limits(limits: Limits) -> Self {
        Self::with_world(world(), limits)
    }

    pub fn with_world(world: World, limits: Limits) -> Self {
        let access = Access::fixed(world, Arc::new(SystemClock), Arc::new(Keyring::generate()));
        Self::with(Arc::new(Memory::new()), access, limits)
    }

    pub fn with_access(store: Arc<dyn EventStore>, access: Arc<Access>) -> Self {
        Self::with(store, access, Limits::default())
    }

    fn with(store: Arc<dyn EventStore>, access: Arc<Access>, limits: Limits) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let deps = Deps {
            commands: Commands::new(Arc::clone(&store), Arc::clone(&clock), 0),
            store: Arc::clone(&store),
            access: Arc::clone(&access),
            clock,
            views_folder: std::env::temp_dir(),
            keeps_past: true,
        };
        let gate = Arc::new(Gate::default());
        let layer = GuardLayer::with_contract(contract(), &deps, limits);
        let process = InProcess::new(layer, [Routes::new(Keeper { gate: Arc::clone(&gate) })]);
        Self { store, access, gate, process }
    }

    /// Calls a method as nobody in particular.
    pub async fn call(&self, method: &str, request: Request<LionRequest>) -> Result<Response<Lion>, Status> {
        let mut client = tonic::client::Grpc::new(self.process.clone());
        client.ready().await.unwrap();
        client.unary(request, path(method), ProstCodec::default()).await
    }

    /// Calls a method as a principal.
    pub async fn call_as(
        &self,
        principal: &str,
        method: &str,
        request: Request<LionRequest>,
    ) -> Result<Response<Lion>, Status> {
        self.call(method, self.signed(principal, request)).await
    }

    pub async fn watch_as(
        &self,
        principal: &str,
        request: Request<LionRequest>,
    ) -> Result<Response<Streaming<Lion>>, Status> {
        let mut client = tonic::client::Grpc::new(self.process.clone());
        client.ready().await.unwrap();
        client.server_streaming(self.signed(principal, request), path("WatchLion"), ProstCodec::default()).await
    }

    /// Adds the gateway's signature.
    pub fn signed<T>(&self, principal: &str, mut request: Request<T>) -> Request<T> {
        let token = self.access.sign(&user(principal)).unwrap();
        request.metadata_mut().insert(PRINCIPAL, token.parse().unwrap());
        request
    }

    /// Everything in the log.
    pub async fn events(&self) -> Vec<Arc<Recorded>> {
        let filter = Filter::categories(["ledger.access"]);
        self.store.read_all(Position::START, Direction::Forwards, &filter, 100).await.unwrap().events
    }
}

pub fn path(method: &str) -> PathAndQuery {
    format!("/cairn.zoo.v1.ZooService/{method}").parse().unwrap()
}

pub fn user(name: &str) -> Principal {
    Principal { name: name.into(), kind: PrincipalKind::User, credential: None, scopes: vec![] }
}

pub fn world() -> World {
    let mut world = World::default();
    let project = "projects/fraud".parse().unwrap();
    world.apply(Change::ProjectOpened { project }, Position(1));
    for principal in ["users/keeper", "users/visitor"] {
        let standing = Standing::Active;
        world.apply(Change::PrincipalIs { principal: principal.into(), standing }, Position(2));
    }
    let grant = Grant {
        binding: "bindings/1".into(),
        role: Roles::built_in().find("roles/manager").cloned(),
        resource: "projects/fraud".parse().unwrap(),
        ..Grant::default()
    };
    world.apply(Change::Granted { principal: "users/keeper".into(), grant }, Position(3));
    world
}

/// The service.
#[derive(Clone)]
struct Keeper {
    gate: Arc<Gate>,
}

impl NamedService for Keeper {
    const NAME: &'static str = "cairn.zoo.v1.ZooService";
}

impl Keeper {
    async fn act(self, request: Request<LionRequest>) -> Result<Response<Lion>, Status> {
        let (ctx, lion) = Ctx::accept(request)?;
        match lion.food.as_str() {
            "poison" => {
                let rejection = Refusal::new(Code::FailedPrecondition, "LION_NOT_HUNGRY", "the lion is not hungry");
                return Err(refuse(rejection));
            }
            "nothing" => return Err(refuse(Refusal::new(Code::NotFound, "LION_NOT_FOUND", "there is no such lion"))),
            "handler" => panic!("the lion ate the handler"),
            "leak" => return Err(Status::internal("/var/lib/cairn/secret: no such file")),
            "forever" => std::future::pending().await,
            "gate" => {
                self.gate.entered.notify_one();
                self.gate.open.notified().await;
            }
            "onward" => {
                let onward = ctx.outgoing(());
                let text = |key: &str| onward.metadata().get(key).and_then(|value| value.to_str().ok()).unwrap_or("-");
                let seen = ["grpc-timeout", "x-request-id", "traceparent"].map(text).join(" ");
                return Ok(Response::new(Lion { seen }));
            }
            "elsewhere" => ctx.require("experiments.runs.delete", &"projects/other/lions/leo".parse().unwrap())?,
            _ => {}
        }
        let seen = format!(
            "{} {} {} {:?} {:?}",
            ctx.principal(),
            ctx.resource(),
            ctx.project().map(ToString::to_string).unwrap_or_default(),
            ctx.after().map(|position| position.0),
            ctx.source_address(),
        );
        Ok(ctx.reply(Lion { seen }, Position(42)))
    }

    async fn watch(self, request: Request<LionRequest>) -> Result<Response<Lions>, Status> {
        let answer = self.act(request).await?.into_inner();
        let items = [Ok(answer.clone()), Ok(answer), Err(Status::unavailable("the lion sleeps"))];
        Ok(Response::new(Box::pin(tokio_stream::iter(items))))
    }

    async fn paint(self, request: Request<Streaming<LionRequest>>) -> Result<Response<Lion>, Status> {
        let (ctx, mut stream) = Ctx::accept(request)?;
        let mut colours = vec![];
        while let Some(message) = stream.message().await? {
            colours.push(message.food);
        }
        Ok(Response::new(Lion { seen: format!("{} {}", ctx.resource(), colours.join(",")) }))
    }
}

type Lions = std::pin::Pin<Box<dyn futures::Stream<Item = Result<Lion, Status>> + Send>>;

impl Service<http::Request<Body>> for Keeper {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let keeper = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Lion, LionRequest>::default());
            let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
            Ok(match method.as_str() {
                "WatchLion" => grpc.server_streaming(service_fn(move |r| keeper.clone().watch(r)), request).await,
                "PaintLion" => grpc.client_streaming(service_fn(move |r| keeper.clone().paint(r)), request).await,
                _ => grpc.unary(service_fn(move |r| keeper.clone().act(r)), request).await,
            })
        })
    }
}
