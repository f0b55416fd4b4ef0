use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cairn_kernel as kernel;
use futures::future::BoxFuture;
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service, ServiceExt};
use tracing::{info, warn};

use super::Config;
use super::deadline::Deadline;
use crate::Refusal;

/// Why a call is refused while none is tried.
pub(super) const CIRCUIT_OPEN: &str = "CIRCUIT_OPEN";

/// Whether calls are let through. A pure state machine: told the time, never asking for it.
#[derive(Debug)]
pub(super) struct Circuit {
    failures_max: u32,
    open_for: Duration,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Calls go through; so many have failed in a row.
    Closed { failures: u32 },
    /// None is tried until then.
    Open { until: Instant },
    /// One has been let through to see. If it never comes back, another is, then.
    HalfOpen { until: Instant },
}

impl Circuit {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            failures_max: config.circuit_failures_max,
            open_for: Duration::from_millis(config.circuit_open_ms),
            state: State::Closed { failures: 0 },
        }
    }

    /// Whether a call may be tried now; if not, how long to wait.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.state {
            State::Closed { .. } => Ok(()),
            State::Open { until } | State::HalfOpen { until } if now < until => Err(until - now),
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { until: now + self.open_for };
                Ok(())
            }
        }
    }

    /// Lets one call through to see, as soon as there is one: there is a reason to believe that it will succeed.
    pub(super) fn expect_well(&mut self, now: Instant) {
        if let State::Open { .. } | State::HalfOpen { .. } = self.state {
            self.state = State::Open { until: now };
        }
    }

    /// Takes in how an attempt ended. Says whether the circuit is in another state now.
    pub(super) fn record(&mut self, failed: bool, now: Instant) -> bool {
        let before = self.state;
        self.state = match (self.state, failed) {
            (State::Closed { failures }, true) if failures + 1 < self.failures_max => {
                State::Closed { failures: failures + 1 }
            }
            // A call that was under way when the circuit opened says nothing new.
            (State::Open { until }, true) => State::Open { until },
            (_, true) => State::Open { until: now + self.open_for },
            (State::Open { until }, false) => State::Open { until },
            (_, false) => State::Closed { failures: 0 },
        };
        std::mem::discriminant(&before) != std::mem::discriminant(&self.state)
    }

    /// 0: closed, 1: half open, 2: open.
    fn gauge(&self) -> f64 {
        match self.state {
            State::Closed { .. } => 0.0,
            State::HalfOpen { .. } => 1.0,
            State::Open { .. } => 2.0,
        }
    }
}

/// Stops trying what keeps failing: after so many failures in a row calls are refused at once for a while, then one is
/// let through to see.
#[derive(Clone, Debug)]
pub struct CircuitLayer {
    upstream: &'static str,
    circuit: Arc<Mutex<Circuit>>,
}

impl CircuitLayer {
    /// One circuit for all services made by this layer; `upstream` names it in logs and metrics.
    pub fn new(config: &Config, upstream: &'static str) -> Self {
        Self { upstream, circuit: Arc::new(Mutex::new(Circuit::new(config))) }
    }

    fn admit(&self) -> Result<(), Duration> {
        let mut circuit = self.circuit.lock();
        let admitted = circuit.admit(Instant::now());
        self.show(&circuit);
        admitted
    }

    fn record(&self, code: Code) {
        let mut circuit = self.circuit.lock();
        let failed = is_failure(code);
        if circuit.record(failed, Instant::now()) {
            let upstream = self.upstream;
            if failed {
                warn!(upstream, ?code, "circuit opened");
            } else {
                info!(upstream, "circuit closed");
            }
        }
        self.show(&circuit);
    }

    fn show(&self, circuit: &Circuit) {
        metrics::gauge!("cairn_outgoing_circuit_state", "upstream" => self.upstream).set(circuit.gauge());
    }
}

impl<S> Layer<S> for CircuitLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { layer: self.clone(), inner }
    }
}

/// A service behind a circuit.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    layer: CircuitLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for Guarded<S>
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
        let (layer, inner) = (self.layer.clone(), self.inner.clone());
        Box::pin(async move {
            if let Err(wait) = layer.admit() {
                let message = format!("calls to {} failed so often that none is tried for a while", layer.upstream);
                let refusal = Refusal::new(kernel::Code::Unavailable, CIRCUIT_OPEN, message)
                    .with("upstream", layer.upstream)
                    .after(wait);
                return Ok(Status::from(refusal).into_http());
            }
            let attempt = Attempted { deadline: request.extensions().get::<Deadline>().copied(), layer: Some(layer) };
            let answer = inner.oneshot(request).await?;
            attempt.answered(code_of(&answer));
            Ok(answer)
        })
    }
}

/// An attempt that nobody has heard of yet.
struct Attempted {
    layer: Option<CircuitLayer>,
    deadline: Option<Deadline>,
}

impl Attempted {
    fn answered(mut self, code: Code) {
        let is_late = self.deadline.is_some_and(|deadline| deadline.ended(code));
        if let Some(layer) = self.layer.take() {
            layer.record(if is_late { Code::DeadlineExceeded } else { code });
        }
    }
}

impl Drop for Attempted {
    /// Given up before an answer came. At the deadline that is a failure like any other: what hangs must open the circuit
    /// too. Before it, the caller went away, which says nothing of the other side.
    fn drop(&mut self) {
        if let Some(layer) = self.layer.take()
            && self.deadline.is_some_and(|deadline| Instant::now() >= deadline.0)
        {
            layer.record(Code::DeadlineExceeded);
        }
    }
}

/// The code in the head of an answer.
pub(super) fn code_of<B>(answer: &Response<B>) -> Code {
    Status::from_header_map(answer.headers()).map_or(Code::Ok, |status| status.code())
}

/// The other side could not be reached or did not answer. What it refuses it is well enough to refuse.
pub(super) fn is_failure(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::DeadlineExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circuit() -> Circuit {
        Circuit { failures_max: 3, open_for: Duration::from_secs(5), state: State::Closed { failures: 0 } }
    }

    #[test]
    fn a_circuit_opens_probes_and_closes_s3_43() {
        let (mut circuit, start) = (circuit(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..2 {
            assert!(!circuit.record(true, start));
        }
        assert_eq!((circuit.admit(start), circuit.gauge()), (Ok(()), 0.0));
        assert!(circuit.record(true, start));
        assert_eq!((circuit.admit(at(2)), circuit.gauge()), (Err(Duration::from_secs(3)), 2.0));

        assert_eq!(circuit.admit(at(5)), Ok(()), "one is let through to see");
        assert_eq!((circuit.admit(at(6)), circuit.gauge()), (Err(Duration::from_secs(4)), 1.0));
        assert!(circuit.record(true, at(7)));
        assert_eq!(circuit.admit(at(8)), Err(Duration::from_secs(4)), "it failed, so it is open again");

        assert_eq!(circuit.admit(at(12)), Ok(()));
        assert!(circuit.record(false, at(12)));
        assert_eq!((circuit.admit(at(12)), circuit.gauge()), (Ok(()), 0.0));
    }

    #[test]
    fn a_success_between_failures_starts_the_count_again() {
        let (mut circuit, now) = (circuit(), Instant::now());
        for failed in [true, true, false, true, true] {
            circuit.record(failed, now);
        }
        assert_eq!(circuit.admit(now), Ok(()));
    }

    #[test]
    fn a_probe_that_never_comes_back_does_not_keep_it_shut() {
        let (mut circuit, now) = (circuit(), Instant::now());
        for _ in 0..3 {
            circuit.record(true, now);
        }
        assert_eq!(circuit.admit(now + Duration::from_secs(5)), Ok(()));
        assert_eq!(circuit.admit(now + Duration::from_secs(10)), Ok(()));
    }
}
