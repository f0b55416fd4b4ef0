use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use cairn_access::Access;
use cairn_contract::Contract;
use cairn_contract::cairn::options::v1::Dialect;
use cairn_kernel::Code;
use cairn_service::Refusal;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::Config;
use crate::authn::{Authenticator, Known};
use crate::caller::{self, Peer, Trace};
use crate::problem::Problem;
use crate::route::{Found, Route, Router};
use crate::transcode;
use crate::upstream::{Call, Upstream};

/// Everything a request passes on its way in and out. One per process, shared by both ports.
pub struct Edge {
    pub(crate) config: Config,
    pub(crate) contract: &'static Contract,
    router: Router,
    pub(crate) authenticator: Authenticator,
    pub(crate) upstream: Upstream,
}

impl Edge {
    pub fn new(
        config: Config,
        contract: &'static Contract,
        access: Arc<Access>,
        upstream: Upstream,
    ) -> Result<Self, Vec<String>> {
        let problems = config.validate();
        if !problems.is_empty() {
            return Err(problems);
        }
        let router = Router::new(contract)?;
        Ok(Self { config, contract, router, authenticator: Authenticator::new(access), upstream })
    }

    /// Answers one HTTP request.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let trace = Trace::of(request.headers());
        let (parts, body) = request.into_parts();
        let mut dialect = Dialect::Cairn;
        let answer = self.route_and_call(&parts, body, &trace, &mut dialect).await;
        let mut response = answer.unwrap_or_else(|refusal| Problem::from(refusal).answer(dialect, &trace));
        if let Ok(id) = HeaderValue::from_str(&trace.request_id) {
            response.headers_mut().insert("x-request-id", id);
        }
        response
    }

    async fn route_and_call(
        &self,
        parts: &http::request::Parts,
        body: Body,
        trace: &Trace,
        dialect: &mut Dialect,
    ) -> Result<Response<Body>, Fault> {
        let (route, bound) = match self.router.find(&parts.method, parts.uri.path()) {
            Found::Route(route, bound) => (route, bound),
            Found::OtherVerbs(_) | Found::Nothing => {
                return Err(Refusal::new(Code::NotFound, "ROUTE_NOT_FOUND", "no method answers here").into());
            }
        };
        *dialect = route.method.dialect;
        let known = self.authenticator.identify(&parts.headers)?;
        let body = self.body(body).await?;
        let plans = &self.router.plans;
        let message = route.plan.request(plans, &bound, parts.uri.query(), &parts.headers, &body).map_err(invalid)?;
        let call = self.call(route, parts, known.as_ref(), trace);
        let answer = self.upstream.unary(call, message.into()).await?;
        let json = route.plan.json(plans, answer.get_ref()).map_err(Refusal::internal)?;
        let mut response = Response::new(Body::from(json));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    async fn body(&self, body: Body) -> Result<Bytes, Refusal> {
        match Limited::new(body, self.config.body_bytes_max).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(fault) if fault.is::<LengthLimitError>() => Err(Refusal::new(
                Code::ResourceExhausted,
                "REQUEST_TOO_LARGE",
                format!("the body is larger than {} bytes", self.config.body_bytes_max),
            )),
            Err(fault) => Err(Refusal::invalid("body", fault)),
        }
    }

    fn call(&self, route: &Route, parts: &http::request::Parts, known: Option<&Known>, trace: &Trace) -> Call {
        let mut metadata = MetadataMap::new();
        let mut put = |key: &'static str, value: &str| {
            if let Ok(value) = MetadataValue::try_from(value) {
                metadata.insert(key, value);
            }
        };
        put("x-request-id", &trace.request_id);
        put("traceparent", &trace.traceparent);
        if let Some(known) = known {
            put("cairn-principal", &known.token);
        }
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        if let Some(source) = caller::source(peer, &parts.headers, self.config.forwarded_hops) {
            put("cairn-source", &source.to_string());
        }
        if let Some(after) = parts.headers.get("cairn-after").and_then(|value| value.to_str().ok()) {
            put("cairn-after", after);
        }
        Call {
            path: route.path.clone(),
            metadata,
            timeout: Some(Duration::from_millis(self.config.request_timeout_ms)),
        }
    }
}

fn invalid(fault: transcode::Fault) -> Refusal {
    Refusal::new(Code::InvalidArgument, "VALIDATION_ERROR", fault.to_string()).with("field", fault.field)
}

/// What ends a request early: a refusal of the gateway's own, or a status from behind.
enum Fault {
    Own(Refusal),
    Theirs(tonic::Status),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Own(refusal)
    }
}

impl From<tonic::Status> for Fault {
    fn from(status: tonic::Status) -> Self {
        Self::Theirs(status)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Own(refusal) => refusal.into(),
            Fault::Theirs(status) => (&status).into(),
        }
    }
}
