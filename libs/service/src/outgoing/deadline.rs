use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use cairn_kernel::Code;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use tokio::time::Instant;
use tonic::Code::Cancelled;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service, ServiceExt};

use super::Config;
use super::circuit::code_of;
use crate::Refusal;
use crate::guard::grpc_timeout;

const HEADER: &str = "grpc-timeout";

/// When a call must be done, for the layers further in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(pub Instant);

impl Deadline {
    /// Whether an answer says that it has passed: some servers call it `CANCELLED` when it does on their side first,
    /// since the time left is cut to milliseconds on its way.
    pub fn ended(self, code: tonic::Code) -> bool {
        code == Cancelled && self.0.saturating_duration_since(Instant::now()) < Duration::from_millis(10)
    }

    /// Tells the other side how much time is left.
    pub fn write<B>(self, request: &mut Request<B>) {
        // gRPC allows eight digits.
        let left = self.0.saturating_duration_since(Instant::now()).as_millis().min(99_999_999);
        let text = HeaderValue::from_str(&format!("{left}m")).expect("digits and a letter are a header");
        request.headers_mut().insert(HEADER, text);
    }
}

/// Gives every call an end: the caller's `grpc-timeout`, or else the configured one. The other side hears of it too.
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    default: Duration,
}

impl DeadlineLayer {
    /// With the configured default.
    pub fn new(config: &Config) -> Self {
        Self { default: Duration::from_millis(config.deadline_ms_default) }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = WithDeadline<S>;

    fn layer(&self, inner: S) -> WithDeadline<S> {
        WithDeadline { default: self.default, inner }
    }
}

/// A service whose calls end.
#[derive(Clone, Debug)]
pub struct WithDeadline<S> {
    default: Duration,
    inner: S,
}

impl<S> Service<Request<Body>> for WithDeadline<S>
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let asked = request.headers().get(HEADER).and_then(|value| value.to_str().ok()).and_then(grpc_timeout);
        let deadline = Deadline(Instant::now() + asked.unwrap_or(self.default));
        deadline.write(&mut request);
        request.extensions_mut().insert(deadline);
        let inner = self.inner.clone();
        Box::pin(async move {
            match tokio::time::timeout_at(deadline.0, inner.oneshot(request)).await {
                Ok(Ok(answer)) if deadline.ended(code_of(&answer)) => Ok(late()),
                Ok(answered) => answered,
                Err(_) => Ok(late()),
            }
        })
    }
}

fn late() -> Response<Body> {
    let message = "the other side did not answer before the deadline";
    Status::from(Refusal::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message)).into_http()
}
