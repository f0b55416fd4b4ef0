use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::Config;
use crate::paced::{Streams, paced};
use crate::timed::Timed;
use crate::unread::watched;
use cairn_service::guard::Peer;
use cairn_service::tls::{self, Reloading};

const HEADERS_MAX: usize = 100;
/// Most bytes of one HTTP/2 answer that wait in the connection, beside one piece of it.
const STREAM_BYTES_MAX: usize = 256 << 10;

/// Serves HTTP/1.1 and HTTP/2 until `shutdown`, then lets open requests finish.
pub(crate) async fn serve<A, F>(
    listener: TcpListener,
    config: &Config,
    certificate: Option<Arc<Reloading<tls::Server>>>,
    shutdown: CancellationToken,
    answer: A,
) where
    A: Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let idle = Duration::from_millis(config.idle_timeout_ms);
    let head = Duration::from_millis(config.head_timeout_ms);
    let places = Arc::new(Semaphore::new(config.connections_max));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let answer = answer.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            let (request, rest) = watched(request.map(Body::new));
            let answered = answer(request);
            async move {
                let mut response = answered.await;
                if let Some(rest) = rest
                    && !rest.read_away().await
                {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response.map(paced))
            }
        });
        let cut = CancellationToken::new();
        let builder = builder(config, Streams::new(idle, cut.clone()));
        let watcher = graceful.watcher();
        let certificate = certificate.as_ref().map(|certificate| certificate.current());
        let stopping = shutdown.clone();
        tokio::spawn(async move {
            // A handshake is no request that could be finished.
            let shaken = stopping.run_until_cancelled(encrypted(stream, certificate.as_deref(), head)).await;
            let stream = match shaken {
                Some(Ok(stream)) => stream,
                Some(Err(fault)) => return debug!(%peer, %fault, "a handshake failed"),
                None => return,
            };
            let io = TokioIo::new(Timed::new(stream, head, idle));
            let connection = builder.serve_connection(io, service).into_owned();
            tokio::select! {
                ended = watcher.watch(connection) => {
                    if let Err(fault) = ended {
                        debug!(%peer, %fault, "connection ended early");
                    }
                }
                () = cut.cancelled() => {}
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The connection as it is, or behind a handshake that may take so long.
async fn encrypted(stream: TcpStream, certificate: Option<&tls::Server>, time_max: Duration) -> io::Result<Stream> {
    let Some(certificate) = certificate else { return Ok(Either::Left(stream)) };
    let acceptor = TlsAcceptor::from(Arc::clone(&certificate.0));
    Ok(Either::Right(timeout(time_max, acceptor.accept(stream)).await.map_err(io::Error::other)??))
}

type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// The next connection, once there is a place for it. Too many are left waiting in the listener's queue.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, std::net::SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small and awaited: waiting to fill a packet would cost each of them 40 ms.
            stream.set_nodelay(true).ok()?;
            Some((stream, peer, place))
        }
        Err(fault) => {
            // Out of file descriptors, or a connection that died while waiting. Neither is a reason to stop.
            warn!(%fault, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

fn builder(config: &Config, streams: Streams) -> auto::Builder<Streams> {
    let head = Duration::from_millis(config.head_timeout_ms);
    let mut builder = auto::Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(config.head_bytes_max)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_send_buf_size(STREAM_BYTES_MAX)
        .max_concurrent_streams(config.streams_per_connection_max)
        .max_header_list_size(u32::try_from(config.head_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .keep_alive_interval(Duration::from_millis(config.idle_timeout_ms))
        .keep_alive_timeout(head)
        .adaptive_window(true);
    builder
}
