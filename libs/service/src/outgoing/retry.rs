use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cairn_contract::{Contract, Method};
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, Limited};
use prost_reflect::DynamicMessage;
use tokio::time::{Instant, Sleep};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::retry::budget::{Budget, TpsBudget};
use tower::retry::{Policy, Retry};
use tower::{Layer, Service, ServiceExt};

use super::Config;
use super::attempt::Unsent;
use super::backoff::Backoff;
use super::circuit::{CIRCUIT_OPEN, code_of, is_failure};
use super::deadline::Deadline;
use crate::Refusal;
use crate::allowance::RATE_LIMITED;

/// The fields that make repeating a change safe: one of them names the request, or what it brings.
const KEYS: [&str; 2] = ["request_id", "batch_id"];
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// Flag and length before a message.
const PREFIX_BYTES: usize = 5;

/// Tries again what may be tried again: reads, and changes with a request id, when the other side could not be reached or
/// says when to come back; and whatever nobody has heard of. Never more than a share of all calls, and never beyond the deadline.
#[derive(Clone)]
pub struct RetryLayer {
    shared: Arc<Shared>,
}

struct Shared {
    upstream: &'static str,
    contract: &'static Contract,
    budget: TpsBudget,
    attempts_max: u32,
    pause_min: Duration,
    pause_max: Duration,
    bytes_max: usize,
    hedge_after: Option<Duration>,
}

impl RetryLayer {
    /// One budget for all services made by this layer.
    pub fn new(config: &Config, upstream: &'static str, contract: &'static Contract) -> Self {
        let share = config.retry_share_max as f32;
        let shared = Shared {
            upstream,
            contract,
            budget: TpsBudget::new(BUDGET_WINDOW, config.retries_per_second_min, share),
            attempts_max: config.attempts_max,
            pause_min: Duration::from_millis(config.pause_ms_min),
            pause_max: Duration::from_millis(config.pause_ms_max),
            bytes_max: config.retry_bytes_max,
            hedge_after: Some(Duration::from_millis(config.hedge_after_ms)).filter(|after| !after.is_zero()),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retrying<S>;

    fn layer(&self, inner: S) -> Retrying<S> {
        Retrying { shared: Arc::clone(&self.shared), inner }
    }
}

/// A service whose calls are tried again.
#[derive(Clone)]
pub struct Retrying<S> {
    shared: Arc<Shared>,
    inner: S,
}

impl<S> Service<Request<Body>> for Retrying<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (shared, inner) = (Arc::clone(&self.shared), self.inner.clone());
        Box::pin(async move {
            let method = shared.contract.method(request.uri().path());
            let Some(method) = method.filter(|method| !method.descriptor.is_client_streaming()) else {
                return inner.oneshot(request).await;
            };
            if request.body().size_hint().lower() > shared.bytes_max as u64 {
                return inner.oneshot(request).await;
            }
            let (parts, body) = request.into_parts();
            let bytes = match Limited::new(body, shared.bytes_max).collect().await {
                Ok(collected) => collected.to_bytes(),
                Err(fault) => return Ok(Status::from(Refusal::internal(fault)).into_http()),
            };
            let is_repeatable = is_repeatable(method, &bytes);
            let backoff = Backoff::new(shared.pause_min, shared.pause_max);
            let policy = Attempts {
                is_repeatable,
                left: shared.attempts_max.saturating_sub(1),
                backoff,
                shared: Arc::clone(&shared),
            };
            let hedged_by = method.is_read.then(|| Arc::clone(&shared)).filter(|shared| shared.hedge_after.is_some());
            let whole = tower::service_fn(move |request: Request<Bytes>| {
                // Nothing is sent before somebody waits for it.
                let send =
                    |request: Request<Bytes>| inner.clone().oneshot(request.map(|bytes| Body::new(Full::new(bytes))));
                let second = hedged_by.clone().map(|shared| (shared, send(request.clone())));
                let first = send(request);
                async move {
                    match second {
                        Some((shared, second)) => shared.hedged(first, second).await,
                        None => first.await,
                    }
                }
            });
            Retry::new(policy, whole).oneshot(Request::from_parts(parts, bytes)).await
        })
    }
}

impl Shared {
    /// Sends it, and again if it takes long and the budget allows; the answer that comes first counts, and the other call
    /// is given up.
    async fn hedged<S>(&self, first: S, second: S) -> Result<Response<Body>, Infallible>
    where
        S: Future<Output = Result<Response<Body>, Infallible>>,
    {
        let (mut first, mut second) = (pin!(first), pin!(second));
        let Some(after) = self.hedge_after else { return first.await };
        if let Ok(answer) = tokio::time::timeout(after, &mut first).await {
            return answer;
        }
        if !self.budget.withdraw() {
            return first.await;
        }
        metrics::counter!("cairn_outgoing_hedges_total", "upstream" => self.upstream).increment(1);
        let (answer, other) = tokio::select! {
            answer = &mut first => (answer?, second),
            answer = &mut second => (answer?, first),
        };
        // One that failed fast is no answer while the other may still give one.
        if is_failure(code_of(&answer)) { other.await } else { Ok(answer) }
    }
}

/// Whether repeating a call does no harm.
fn is_repeatable(method: &Method, body: &[u8]) -> bool {
    if method.is_read {
        return true;
    }
    let input = method.input();
    let fields: Vec<_> = KEYS.iter().filter_map(|key| input.get_field_by_name(key)).collect();
    let is_plain = body.first() == Some(&0);
    let Some(message) = body.get(PREFIX_BYTES..).filter(|_| is_plain && !fields.is_empty()) else { return false };
    let Ok(message) = DynamicMessage::decode(input, message) else { return false };
    fields.iter().any(|field| message.get_field(field).as_str().is_some_and(|key| !key.is_empty()))
}

/// The attempts of one call.
#[derive(Clone)]
struct Attempts {
    shared: Arc<Shared>,
    /// Whether it does no harm to send it again after somebody has heard of it.
    is_repeatable: bool,
    left: u32,
    backoff: Backoff,
}

impl Policy<Request<Bytes>, Response<Body>, Infallible> for Attempts {
    type Future = Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Bytes>,
        result: &mut Result<Response<Body>, Infallible>,
    ) -> Option<Sleep> {
        let answer = match result {
            Ok(answer) => answer,
            Err(never) => match *never {},
        };
        let status = Status::from_header_map(answer.headers()).filter(|status| status.code() != Code::Ok);
        let Some(status) = status else {
            self.shared.budget.deposit();
            return None;
        };
        if !self.is_repeatable && answer.extensions().get::<Unsent>().is_none() {
            return None;
        }
        let asked = asked_to_wait(&status)?;
        self.left = self.left.checked_sub(1)?;
        let pause = self.backoff.next(rand::random()).max(asked);
        let deadline = request.extensions().get::<Deadline>().copied();
        let again = Instant::now() + pause;
        if deadline.is_some_and(|deadline| again >= deadline.0) || !self.shared.budget.withdraw() {
            return None;
        }
        metrics::counter!("cairn_outgoing_retries_total", "upstream" => self.shared.upstream).increment(1);
        if let Some(Deadline(end)) = deadline {
            // By then this much less is left of it.
            Deadline(end - pause).write(request);
        }
        Some(tokio::time::sleep_until(again))
    }

    fn clone_request(&mut self, request: &Request<Bytes>) -> Option<Request<Bytes>> {
        Some(request.clone())
    }
}

/// How long the other side wants us to wait before the same call may succeed; nothing if it will not.
fn asked_to_wait(status: &Status) -> Option<Duration> {
    let details = status.get_error_details();
    // An open circuit is there to refuse at once: waiting for it would hold up all callers, to come back together. And whoever
    // has used up an allowance is told so, and waits himself.
    if details.error_info().is_some_and(|info| [CIRCUIT_OPEN, RATE_LIMITED].contains(&info.reason.as_str())) {
        return None;
    }
    let asked = details.retry_info().and_then(|info| info.retry_delay);
    match status.code() {
        Code::Unavailable => Some(asked.unwrap_or_default()),
        Code::ResourceExhausted | Code::Aborted => asked,
        _ => None,
    }
}
