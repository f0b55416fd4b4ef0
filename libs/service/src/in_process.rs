use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cairn_eventstore::AppendFault;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Layer, Service};
use tracing::{debug, warn};

use crate::guard::{Guard, GuardLayer, Peer};
use crate::tls::{Links, PeerRoles};

crate::settings! {
    /// How services are served over a socket.
    pub struct Listening: "listening" {
        /// Connections served at once; more wait to be accepted.
        connections_max: usize = 1_024;
        /// Calls one connection may have open at once.
        streams_per_connection_max: u32 = 256;
        /// Largest metadata of a call, in bytes.
        head_bytes_max: u32 = 32 * 1024;
        /// How often an idle connection is asked whether it is still there, in milliseconds.
        keep_alive_ms: u64 = 30_000;
        /// How long it may take to answer that, in milliseconds.
        keep_alive_timeout_ms: u64 = 10_000;
    }
}

impl Listening {
    /// How connections are served that speak gRPC alone.
    pub fn builder(&self) -> auto::Builder<TokioExecutor> {
        /// Resets a client may cause before it is cut off.
        const RESETS_MAX: usize = 20;
        let mut builder = auto::Builder::new(TokioExecutor::new()).http2_only();
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.streams_per_connection_max)
            .max_header_list_size(self.head_bytes_max)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .keep_alive_interval(Duration::from_millis(self.keep_alive_ms))
            .keep_alive_timeout(Duration::from_millis(self.keep_alive_timeout_ms))
            .adaptive_window(true);
        builder
    }
}

/// All services of this process behind one guard: what generated clients and the gateway call without a socket, and
/// what other processes reach over one. Cheap to clone.
#[derive(Clone)]
pub struct InProcess {
    layer: GuardLayer,
    guard: Guard,
}

impl InProcess {
    /// Puts the guard in front of the routes of all mounted roles.
    pub fn new(layer: GuardLayer, roles: impl IntoIterator<Item = Routes>) -> Self {
        let mut all = Routes::default();
        for routes in roles {
            // Only one answers for methods that nobody has.
            let router = routes.into_axum_router().reset_fallback();
            let merged = std::mem::take(all.axum_router_mut()).merge(router);
            *all.axum_router_mut() = merged;
        }
        Self { guard: layer.layer(all), layer }
    }

    /// Serves gRPC until `stop`, then lets open calls finish. Drop the future to cut them off. With `links` only to
    /// processes that prove which role they have.
    pub async fn serve(
        self,
        listener: TcpListener,
        listening: &Listening,
        links: Option<Links>,
        stop: CancellationToken,
    ) {
        let places = Arc::new(Semaphore::new(listening.connections_max));
        let builder = Arc::new(listening.builder());
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&listener, &places) => accepted,
            };
            let Some((stream, peer, place)) = accepted else { continue };
            let (guard, links, builder) = (self.guard.clone(), links.clone(), Arc::clone(&builder));
            let watcher = graceful.watcher();
            tokio::spawn(async move {
                let (stream, roles) = match linked(stream, links).await {
                    Ok(linked) => linked,
                    Err(fault) => return debug!(peer = %peer.0, %fault, "a process was not let in"),
                };
                let service = service_fn(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(peer);
                    if let Some(roles) = &roles {
                        request.extensions_mut().insert(roles.clone());
                    }
                    guard.clone().call(request.map(Body::new))
                });
                let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                if let Err(fault) = watcher.watch(connection).await {
                    debug!(peer = %peer.0, %fault, "a connection ended early");
                }
                drop(place);
            });
        }
        drop(listener);
        graceful.shutdown().await;
    }

    /// Waits for changes whose callers have hung up, and writes what is still only counted. Before the store closes.
    pub async fn drain(&self) -> Result<(), AppendFault> {
        self.layer.drain().await
    }
}

impl Service<Request<Body>> for InProcess {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <Guard as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.guard.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.guard.call(request)
    }
}

/// The connection as it is, or with the roles that the other end has proven.
async fn linked(stream: TcpStream, links: Option<Links>) -> io::Result<(Stream, Option<PeerRoles>)> {
    let Some(links) = links else { return Ok((Either::Left(stream), None)) };
    let (stream, roles) = links.accept(stream).await?;
    Ok((Either::Right(stream), Some(roles)))
}

type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// The next connection, once there is a place for it.
pub async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, Peer, OwnedSemaphorePermit)> {
    const PAUSE: Duration = Duration::from_millis(50);
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small and awaited: waiting to fill a packet would cost each of them 40 ms.
            stream.set_nodelay(true).ok()?;
            Some((stream, Peer(peer), place))
        }
        Err(fault) => {
            // Out of file descriptors, or a connection that died while waiting. Neither is a reason to stop.
            warn!(%fault, "a connection could not be accepted");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}
