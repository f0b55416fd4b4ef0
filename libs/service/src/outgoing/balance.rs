use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use cairn_kernel as kernel;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body::{Frame, SizeHint};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::{Service, ServiceExt, service_fn};
use tracing::{info, warn};

use super::Config;
use super::attempt::Attempt;
use super::circuit::{CIRCUIT_OPEN, Circuit, code_of, is_failure};
use super::deadline::Deadline;
use crate::Refusal;
use crate::tls::Link;

/// Several processes of one role. Each call goes to the one with the fewest calls in its hands; one that keeps failing
/// gets none for a while, then a single one to see; one that says it is not well gets none until it is.
///
/// Not tonic's own balance: it takes all that are connected for equally loaded, so that a slow one gets its full share.
#[derive(Clone)]
pub struct Balance {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    link: Option<Link>,
    backends: ArcSwap<Vec<Arc<Backend>>>,
    /// Where the search for the least loaded begins, so that equals take turns.
    turn: AtomicUsize,
}

struct Backend {
    address: String,
    channel: Channel,
    attempt: Attempt,
    in_hand: AtomicUsize,
    circuit: Mutex<Circuit>,
    /// What it said when it was last asked.
    is_well: AtomicBool,
}

impl Balance {
    /// Over some addresses, each connected when it first gets a call.
    pub fn new(config: &Config, addresses: &[String]) -> Result<Self, tonic::transport::Error> {
        Self::over(config, addresses, None)
    }

    /// The same over connections that both ends prove who they are on.
    pub fn linked(config: &Config, addresses: &[String], link: Link) -> Result<Self, tonic::transport::Error> {
        Self::over(config, addresses, Some(link))
    }

    fn over(config: &Config, addresses: &[String], link: Option<Link>) -> Result<Self, tonic::transport::Error> {
        let inner = Inner { config: config.clone(), link, backends: ArcSwap::default(), turn: AtomicUsize::new(0) };
        let balance = Self { inner: Arc::new(inner) };
        balance.replace(addresses)?;
        Ok(balance)
    }

    /// Balances over these addresses from now on. Processes that are gone from the list finish what they have in hand, and
    /// get nothing more; those that stay keep what is known of them.
    pub fn replace(&self, addresses: &[String]) -> Result<(), tonic::transport::Error> {
        let before = self.inner.backends.load_full();
        let backends: Result<Vec<Arc<Backend>>, _> = addresses
            .iter()
            .map(|address| match before.iter().find(|backend| backend.address == *address) {
                Some(known) => Ok(Arc::clone(known)),
                None => Backend::new(&self.inner.config, address, self.inner.link.clone()).map(Arc::new),
            })
            .collect();
        self.inner.backends.store(Arc::new(backends?));
        Ok(())
    }

    /// Asks every process how it is, over gRPC's health protocol, until `stop`. One that says it does not serve, or does
    /// not answer, gets no new calls; one that knows no such protocol is taken for well.
    pub async fn watch_health(&self, stop: CancellationToken) {
        let pause = Duration::from_millis(self.inner.config.health_interval_ms);
        loop {
            let backends = self.inner.backends.load_full();
            let asked = backends.iter().map(|backend| backend.ask(pause));
            if stop.run_until_cancelled(futures::future::join_all(asked)).await.is_none() {
                return;
            }
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// How many processes there are, and how many of them said they are well when they were last asked.
    pub fn count(&self) -> (usize, usize) {
        let backends = self.inner.backends.load();
        (backends.len(), backends.iter().filter(|backend| backend.is_well.load(Ordering::Relaxed)).count())
    }

    /// The least loaded that may get a call, or how long until one may.
    fn choose(&self, now: Instant) -> Result<InHand, Duration> {
        let backends = self.inner.backends.load();
        let first = self.inner.turn.fetch_add(1, Ordering::Relaxed);
        let mut places: Vec<usize> = (0..backends.len()).map(|step| (first + step) % backends.len()).collect();
        // When none is well, the health checks may be what is not: then all are tried.
        places.sort_by_key(|place| {
            let backend = &backends[*place];
            (!backend.is_well.load(Ordering::Relaxed), backend.in_hand.load(Ordering::Relaxed))
        });
        let mut shortest = Duration::MAX;
        let some_are_well = backends.iter().any(|backend| backend.is_well.load(Ordering::Relaxed));
        for place in places {
            let backend = &backends[place];
            if some_are_well && !backend.is_well.load(Ordering::Relaxed) {
                continue;
            }
            match backend.circuit.lock().admit(now) {
                Ok(()) => return Ok(InHand::new(Arc::clone(backend))),
                Err(wait) => shortest = shortest.min(wait),
            }
        }
        Err(shortest.min(Duration::from_millis(self.inner.config.circuit_open_ms)))
    }
}

impl Backend {
    fn new(config: &Config, address: &str, link: Option<Link>) -> Result<Self, tonic::transport::Error> {
        // Whether it is encrypted is the link's to say: tonic itself would know no identities.
        let plain = address.replacen("https://", "http://", 1);
        let endpoint = Endpoint::from_shared(plain)?
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .http2_keep_alive_interval(Duration::from_millis(config.keep_alive_ms))
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        let channel = match link {
            None => endpoint.connect_lazy(),
            Some(link) => {
                endpoint.connect_with_connector_lazy(service_fn(move |uri: Uri| connected(link.clone(), uri)))
            }
        };
        Ok(Self {
            address: address.to_owned(),
            attempt: Attempt::new(channel.clone()),
            channel,
            in_hand: AtomicUsize::new(0),
            circuit: Mutex::new(Circuit::new(config)),
            is_well: AtomicBool::new(true),
        })
    }

    async fn ask(&self, time_max: Duration) {
        let mut client = HealthClient::new(self.channel.clone());
        let asked = timeout(time_max, client.check(HealthCheckRequest::default())).await;
        let is_well = match asked {
            Ok(Ok(answer)) => answer.into_inner().status() == ServingStatus::Serving,
            Ok(Err(status)) => status.code() == Code::Unimplemented,
            Err(_) => false,
        };
        let address = &self.address;
        match (self.is_well.swap(is_well, Ordering::Relaxed), is_well) {
            (true, false) => warn!(address, "a process says it is not well: it gets no new calls"),
            (false, true) => {
                info!(address, "a process is well again");
                self.circuit.lock().expect_well(Instant::now());
            }
            _ => {}
        }
    }
}

async fn connected(link: Link, uri: Uri) -> std::io::Result<TokioIo<TlsStream<TcpStream>>> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    link.connect(host, uri.port_u16().unwrap_or(443)).await.map(TokioIo::new)
}

impl Service<Request<Body>> for Balance {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let chosen = self.choose(Instant::now());
        let deadline = request.extensions().get::<Deadline>().copied();
        Box::pin(async move {
            let mut in_hand = match chosen {
                Ok(in_hand) => in_hand,
                Err(wait) => {
                    let message = "each process of this role failed so often that none is tried for a while";
                    let refusal = Refusal::new(kernel::Code::Unavailable, CIRCUIT_OPEN, message).after(wait);
                    return Ok(Status::from(refusal).into_http());
                }
            };
            in_hand.deadline = deadline;
            let answer = in_hand.backend.attempt.clone().oneshot(request).await?;
            let code = code_of(&answer);
            in_hand.record(is_failure(code) || deadline.is_some_and(|deadline| deadline.ended(code)));
            in_hand.deadline = None;
            Ok(answer.map(|body| Body::new(Held { body, _in_hand: in_hand })))
        })
    }
}

/// A call in a backend's hands: until its answer has been read, or nobody waits for it any more.
struct InHand {
    backend: Arc<Backend>,
    /// While nothing has been heard.
    deadline: Option<Deadline>,
}

impl InHand {
    fn new(backend: Arc<Backend>) -> Self {
        backend.in_hand.fetch_add(1, Ordering::Relaxed);
        Self { backend, deadline: None }
    }

    fn record(&self, has_failed: bool) {
        let Backend { address, circuit, .. } = &*self.backend;
        if circuit.lock().record(has_failed, Instant::now()) {
            if has_failed {
                metrics::counter!("cairn_outgoing_ejections_total").increment(1);
                warn!(address, "a process is left out of the balance");
            } else {
                info!(address, "a process is back in the balance");
            }
        }
    }
}

impl Drop for InHand {
    /// What hangs until the deadline has failed like what says so.
    fn drop(&mut self) {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline.0) {
            self.record(true);
        }
        self.backend.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that is still being read.
struct Held {
    body: Body,
    _in_hand: InHand,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
