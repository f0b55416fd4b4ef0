use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cairn_kernel as kernel;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::{Service, ServiceExt};
use tracing::{info, warn};

use super::Config;
use super::attempt::Attempt;
use super::circuit::{CIRCUIT_OPEN, Circuit, code_of, is_failure};
use crate::Refusal;

/// Several processes of one role. Each call goes to the one with the fewest calls in its hands; one that keeps failing
/// gets none for a while, then a single one to see.
///
/// Not tonic's own balance: it takes all that are connected for equally loaded, so that a slow one gets its full share.
#[derive(Clone)]
pub struct Balance {
    inner: Arc<Inner>,
}

struct Inner {
    backends: Vec<Backend>,
    /// Where the search for the least loaded begins, so that equals take turns.
    turn: AtomicUsize,
}

struct Backend {
    address: String,
    attempt: Attempt,
    in_hand: AtomicUsize,
    circuit: Mutex<Circuit>,
}

impl Balance {
    /// Over some addresses, each connected when it first gets a call.
    pub fn new(config: &Config, addresses: &[String]) -> Result<Self, tonic::transport::Error> {
        let backends: Result<Vec<Backend>, _> = addresses
            .iter()
            .map(|address| {
                let endpoint = Endpoint::from_shared(address.clone())?;
                let channel = endpoint
                    .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
                    .http2_keep_alive_interval(Duration::from_millis(config.keep_alive_ms))
                    .keep_alive_while_idle(true)
                    .tcp_nodelay(true)
                    .connect_lazy();
                Ok(Backend {
                    address: address.clone(),
                    attempt: Attempt::new(channel),
                    in_hand: AtomicUsize::new(0),
                    circuit: Mutex::new(Circuit::new(config)),
                })
            })
            .collect();
        Ok(Self { inner: Arc::new(Inner { backends: backends?, turn: AtomicUsize::new(0) }) })
    }

    /// The place of the least loaded that may get a call, or how long until one may.
    fn choose(&self, now: Instant) -> Result<InHand, Duration> {
        let backends = &self.inner.backends;
        let first = self.inner.turn.fetch_add(1, Ordering::Relaxed);
        let mut places: Vec<usize> = (0..backends.len()).map(|step| (first + step) % backends.len()).collect();
        places.sort_by_key(|place| backends[*place].in_hand.load(Ordering::Relaxed));
        let mut shortest = Duration::MAX;
        for place in places {
            match backends[place].circuit.lock().admit(now) {
                Ok(()) => return Ok(InHand::new(Arc::clone(&self.inner), place)),
                Err(wait) => shortest = shortest.min(wait),
            }
        }
        Err(shortest)
    }
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
        Box::pin(async move {
            let in_hand = match chosen {
                Ok(in_hand) => in_hand,
                Err(wait) => {
                    let message = "each process of this role failed so often that none is tried for a while";
                    let refusal = Refusal::new(kernel::Code::Unavailable, CIRCUIT_OPEN, message).after(wait);
                    return Ok(Status::from(refusal).into_http());
                }
            };
            let answer = in_hand.backend().attempt.clone().oneshot(request).await?;
            in_hand.record(is_failure(code_of(&answer)));
            Ok(answer.map(|body| Body::new(Held { body, _in_hand: in_hand })))
        })
    }
}

/// A call in a backend's hands: until its answer has been read, or nobody waits for it any more.
struct InHand {
    inner: Arc<Inner>,
    place: usize,
}

impl InHand {
    fn new(inner: Arc<Inner>, place: usize) -> Self {
        inner.backends[place].in_hand.fetch_add(1, Ordering::Relaxed);
        Self { inner, place }
    }

    fn backend(&self) -> &Backend {
        &self.inner.backends[self.place]
    }

    fn record(&self, has_failed: bool) {
        let Backend { address, circuit, .. } = self.backend();
        if circuit.lock().record(has_failed, Instant::now()) {
            if has_failed {
                warn!(address, "a process is left out of the balance");
            } else {
                info!(address, "a process is back in the balance");
            }
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.backend().in_hand.fetch_sub(1, Ordering::Relaxed);
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
