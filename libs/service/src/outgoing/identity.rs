use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use cairn_access::Access;
use cairn_kernel::Principal;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service, ServiceExt};
use tracing::Span;

use crate::Refusal;
use crate::guard::PRINCIPAL;
use crate::telemetry::{TRACEPARENT, Traceparent};

/// Signs calls: as whom, and as part of which trace.
///
/// A service calls as itself, never as the user whose request made it call.
#[derive(Clone)]
pub struct IdentityLayer {
    access: Arc<Access>,
    principal: Principal,
}

impl IdentityLayer {
    /// Calls as `principal`, usually [`Principal::service`].
    pub fn new(access: Arc<Access>, principal: Principal) -> Self {
        Self { access, principal }
    }
}

impl<S> Layer<S> for IdentityLayer {
    type Service = Signed<S>;

    fn layer(&self, inner: S) -> Signed<S> {
        Signed { layer: self.clone(), inner }
    }
}

/// A service whose calls are signed.
#[derive(Clone)]
pub struct Signed<S> {
    layer: IdentityLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for Signed<S>
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
        let token = self.layer.access.sign(&self.layer.principal).map_err(Refusal::from);
        let token = token.and_then(|token| HeaderValue::from_str(&token).map_err(Refusal::internal));
        let token = match token {
            Ok(token) => token,
            Err(refusal) => return Box::pin(async move { Ok(Status::from(refusal).into_http()) }),
        };
        request.headers_mut().insert(PRINCIPAL, token);
        let trace = Traceparent::of(&Span::current()).and_then(|trace| HeaderValue::from_str(&trace.to_string()).ok());
        if let Some(trace) = trace {
            request.headers_mut().insert(TRACEPARENT, trace);
        }
        let inner = self.inner.clone();
        Box::pin(inner.oneshot(request))
    }
}
