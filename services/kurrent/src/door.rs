//! The door: connections of clients, who they are, and the guard that all their calls go through.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use cairn_contract::{Contract, Violations};
use cairn_eventstore::AppendFault;
use cairn_kernel::Code;
use cairn_kurrent_protocol::gossip::gossip_server::GossipServer;
use cairn_kurrent_protocol::server_features::server_features_server::ServerFeaturesServer;
use cairn_kurrent_protocol::streams::streams_server::StreamsServer;
use cairn_service::guard::{AFTER, GuardLayer, Limits, PRINCIPAL, PROJECT, Peer, SEALED_SOURCE, SOURCE};
use cairn_service::tls::{self, Reloading};
use cairn_service::{Deps, InProcess, Listening, Refusal, accept, refuse};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;
use tracing::{debug, info};
use uuid::Uuid;

use crate::Config;
use crate::batch::{Batching, Caller};
use crate::grpc::Grpc;
use crate::kept::Keeping;
use crate::node::{Called, Node};
use crate::prompt::Prompt;
use crate::reading::{ConnectionSlots, Reading};
use crate::told::{Told, told};
use crate::writing::Writing;

/// Finds out whose credential a call has, and signs it for the guard. `None`: it has none.
pub type Identify = Arc<dyn Fn(&HeaderMap) -> Result<Option<String>, Refusal> + Send + Sync>;

/// The call that appends in batches: each of them goes through the guard, and not the call.
const BATCHES: &str = "/event_store.client.streams.Streams/BatchAppend";

/// The event store of one process. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    config: Arc<Config>,
    contract: &'static Contract,
    identify: Identify,
    guarded: InProcess,
    batches: Routes,
    closing: CancellationToken,
}

impl Door {
    /// Prepares it over the log of `deps`. Fails if what the protocol says of its methods does not load.
    pub fn new(deps: &Deps, config: Config, limits: Limits, identify: Identify) -> Result<Self, &'static Violations> {
        let contract = cairn_kurrent_protocol::contract()?;
        let config = Arc::new(config);
        let closing = CancellationToken::new();
        let keeping = Keeping::new(Arc::clone(&deps.store));
        let grpc = Grpc {
            writing: Writing::new(Arc::clone(&config), Arc::clone(&deps.store), keeping.clone()),
            reading: Reading {
                config: Arc::clone(&config),
                contract: Contract::embedded()?,
                store: Arc::clone(&deps.store),
                keeping,
                clock: Arc::clone(&deps.clock),
                slots: Arc::new(Semaphore::new(config.subscriptions_max)),
                closing: closing.clone(),
            },
            batching: Batching {
                config: Arc::clone(&config),
                clock: Arc::clone(&deps.clock),
                closing: closing.clone(),
            },
            config: Arc::clone(&config),
        };
        let bytes_max = config.message_bytes_max();
        let streams = || StreamsServer::new(grpc.clone()).max_decoding_message_size(bytes_max);
        let node = Node { id: Uuid::new_v4(), clock: Arc::clone(&deps.clock) };
        let routes = Routes::new(streams())
            .add_service(ServerFeaturesServer::new(node.clone()))
            .add_service(GossipServer::new(node));
        let limits = Limits { message_bytes_max: bytes_max, ..limits };
        let guarded = InProcess::new(GuardLayer::with_contract(contract, deps, limits), [routes]);
        Ok(Self { config, contract, identify, guarded, batches: Routes::new(streams()).prepare(), closing })
    }

    /// Serves clients until `stop`, then lets open calls finish; subscriptions are told to go elsewhere.
    pub async fn serve(
        self,
        listener: TcpListener,
        listening: &Listening,
        certificate: Option<Arc<Reloading<tls::Server>>>,
        stop: CancellationToken,
    ) {
        let places = Arc::new(Semaphore::new(listening.connections_max));
        let builder = Arc::new(listening.builder());
        let patience = Duration::from_millis(listening.keep_alive_timeout_ms);
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&listener, &places) => accepted,
            };
            let Some((stream, peer, place)) = accepted else { continue };
            let (door, builder, watcher) = (self.clone(), Arc::clone(&builder), graceful.watcher());
            let certificate = certificate.as_ref().map(|certificate| certificate.current());
            tokio::spawn(async move {
                let stream = match encrypted(stream, certificate.as_deref(), patience).await {
                    Ok(stream) => stream,
                    Err(fault) => return debug!(peer = %peer.0, %fault, "a handshake failed"),
                };
                let slots = ConnectionSlots(Arc::new(Semaphore::new(door.config.subscriptions_per_connection_max)));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (door, slots) = (door.clone(), slots.clone());
                    async move { Ok::<_, Infallible>(door.answer(request.map(Body::new), peer, slots).await) }
                });
                let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                if let Err(fault) = watcher.watch(connection).await {
                    debug!(peer = %peer.0, %fault, "a connection ended early");
                }
                drop(place);
            });
        }
        drop(listener);
        self.closing.cancel();
        graceful.shutdown().await;
    }

    /// Waits for changes whose callers have hung up, and writes what is still only counted. Before the store closes.
    pub async fn drain(&self) -> Result<(), AppendFault> {
        self.guarded.drain().await
    }

    async fn answer(&self, request: Request<Body>, peer: Peer, slots: ConnectionSlots) -> Response<Told> {
        let path = request.uri().path().to_owned();
        let answered = self.pass(request, peer, slots).await;
        told(answered.unwrap_or_else(|refusal| {
            // The guard writes a line for each call that reaches it; this one does not.
            info!(path, reason = refusal.reason, "refused");
            refuse(refusal).into_http()
        }))
    }

    async fn pass(
        &self,
        mut request: Request<Body>,
        peer: Peer,
        ConnectionSlots(slots): ConnectionSlots,
    ) -> Result<Response<Body>, Refusal> {
        let path = request.uri().path();
        let is_public = self.contract.method(path).is_some_and(|method| method.is_public);
        let is_batch = path == BATCHES;
        let called = request.uri().authority().map(|authority| authority.as_str());
        let called = Called::parse(&self.config.advertised).or_else(|| called.and_then(Called::parse));
        if let Some(called) = called {
            request.extensions_mut().insert(called);
        }
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(ConnectionSlots(slots));
        let headers = request.headers_mut();
        // Nothing that says who calls comes from the caller.
        for name in [PRINCIPAL, SOURCE, SEALED_SOURCE, PROJECT, AFTER] {
            headers.remove(name);
        }
        // What is open to everybody is asked before a client looks at its credential.
        let token = if is_public { None } else { (self.identify)(headers)? };
        let credential = is_batch.then(|| headers.clone());
        // And no credential goes further than here.
        for name in [header::AUTHORIZATION, HeaderName::from_static("x-api-key")] {
            headers.remove(name);
        }
        if is_batch {
            return self.in_batches(request, peer, credential.filter(|_| token.is_some())).await;
        }
        if let Some(token) = token {
            let token = HeaderValue::from_str(&token).map_err(Refusal::internal)?;
            headers.insert(PRINCIPAL, token);
        }
        let Ok(response) = self.guarded.clone().call(request).await;
        Ok(response)
    }

    /// Appends in batches, each with the credential that the call came with.
    async fn in_batches(
        &self,
        mut request: Request<Body>,
        peer: Peer,
        credential: Option<HeaderMap>,
    ) -> Result<Response<Body>, Refusal> {
        let Some(headers) = credential else {
            return Err(Refusal::new(Code::Unauthenticated, "CREDENTIAL_MISSING", "appending needs a credential"));
        };
        let (guarded, identify) = (self.guarded.clone(), Arc::clone(&self.identify));
        request.extensions_mut().insert(Caller { guarded, identify, headers, peer });
        let Ok(response) = self.batches.clone().call(request).await;
        Ok(response.map(Body::new))
    }
}

type Stream = Either<Prompt, TlsStream<Prompt>>;

/// The connection as it is, or behind a handshake that may take so long.
async fn encrypted(stream: TcpStream, certificate: Option<&tls::Server>, time_max: Duration) -> io::Result<Stream> {
    let stream = Prompt(stream);
    let Some(certificate) = certificate else { return Ok(Either::Left(stream)) };
    let acceptor = TlsAcceptor::from(Arc::clone(&certificate.0));
    Ok(Either::Right(timeout(time_max, acceptor.accept(stream)).await.map_err(io::Error::other)??))
}
