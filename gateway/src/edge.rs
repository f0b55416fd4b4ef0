use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use cairn_access::Access;
use cairn_contract::Contract;
use cairn_contract::cairn::options::v1::{Dialect, Success};
use cairn_kernel::Code;
use cairn_service::Refusal;
use cairn_service::config::Section;
use cairn_service::guard::{self, Peer};
use cairn_service::telemetry::Traceparent;
use cairn_service::tls::{self, Reloading};
use http::{HeaderMap, HeaderValue, Method as Verb, Request, Response, StatusCode, header};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tracing::{Instrument, info_span};

use crate::authn::{Authenticator, Origin};
use crate::call::{Answer, Body as BodyKind};
use crate::caller::{self, Trace};
use crate::changes::Changes;
use crate::enter::{Entered, Visit};
use crate::forward::{self, keep, keep_limits, put};
use crate::intake::{Intake, Limit, check_media_type};
use crate::limit::{Held, Rates};
use crate::line::Line;
use crate::live::{Live, Notation};
use crate::problem::{Form, Problem};
use crate::route::Router;
use crate::sources::Sources;
use crate::upload::Upload;
use crate::upstream::{Call, Upstream};
use crate::{Config, raw, retiring, transcode};

/// Everything a request passes on its way in and out. One per process, shared by both ports.
pub struct Edge {
    pub(crate) config: Config,
    pub(crate) contract: &'static Contract,
    pub(crate) authenticator: Authenticator,
    rates: ArcSwap<Rates>,
    pub(crate) upstream: Upstream,
    pub(crate) sources: Sources,
    pub(crate) changes: Changes,
    /// Cancelled when the process stops: streams without an end of their own end then.
    pub(crate) closing: CancellationToken,
    pub(crate) router: Router,
    /// What both ports are encrypted with.
    pub(crate) certificate: Option<Arc<Reloading<tls::Server>>>,
}

impl Edge {
    /// Prepares every route, or lists what keeps the gateway from starting.
    pub fn new(
        config: Config,
        contract: &'static Contract,
        access: Arc<Access>,
        upstream: Upstream,
        origin: Origin,
    ) -> Result<Self, Vec<String>> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let certificate = match config.tls() {
            Some(files) => Some(Reloading::open(files).map_err(|problem| vec![format!("gateway.tls: {problem}")])?),
            None => None,
        };
        Ok(Self {
            router: Router::new(contract)?,
            authenticator: Authenticator::new(access, origin),
            rates: ArcSwap::from_pointee(Rates::new(&config, contract)?),
            sources: Sources::new(upstream.clone(), config.sealed_sources_max),
            changes: Changes::default(),
            certificate,
            closing: CancellationToken::new(),
            config,
            contract,
            upstream,
        })
    }

    /// How often callers may ask, as of now.
    pub(crate) fn rates(&self) -> Arc<Rates> {
        self.rates.load_full()
    }

    /// Counts by another configuration from now on, and goes on with what callers have asked so far.
    pub(crate) fn set_rates(&self, config: &Config) -> Result<(), Vec<String>> {
        self.rates.store(Arc::new(self.rates().again(config, self.contract)?));
        Ok(())
    }

    /// Answers one HTTP request.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let mut trace = Trace::of(request.headers());
        let span = info_span!("http", otel.kind = "server", http.request.method = %request.method());
        trace.parent.adopt(&span);
        trace.parent = Traceparent::of(&span).unwrap_or(trace.parent);
        self.visit(request, trace).instrument(span).await
    }

    async fn visit(&self, request: Request<Body>, trace: Trace) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        let source = caller::source(peer, &parts.headers, self.config.forwarded_hops);
        let mut line = Line::begin(&parts.method, &trace, source);
        let is_head = parts.method == Verb::HEAD;
        let is_conditional = parts.headers.contains_key(header::IF_MATCH);
        let accepts_details = Form::accepts_details(&parts.headers);
        let mut dialect = dialect_of(parts.uri.path());
        let mut method = None;

        let answered = match self.enter(parts, source, &trace, &mut line).await {
            Ok(Entered::Visit(visit)) => {
                dialect = visit.route.method.dialect;
                method = Some(visit.route.method);
                self.serve(*visit, body).await
            }
            Ok(Entered::Answered(response)) => Ok(response),
            Err(Held { refusal, standings }) => {
                if !standings.is_empty() {
                    line.exceeds(standings);
                }
                Err(refusal.into())
            }
        };
        let mut response = answered.unwrap_or_else(|fault| {
            let mut told = HeaderMap::new();
            if let Fault::Theirs(status) = &fault {
                keep_limits(status.metadata(), &mut told);
            }
            let is_refused = matches!(fault, Fault::Own(_));
            let mut problem = Problem::from(fault);
            if is_conditional && problem.reason == "ETAG_MISMATCH" {
                problem.http = StatusCode::PRECONDITION_FAILED;
            }
            line.knows_reason(&problem.reason, is_refused);
            let mut response = problem.answer(Form::of(dialect, accepts_details), &trace);
            response.headers_mut().extend(told);
            response
        });
        if let Some(method) = method {
            retiring::tell(method, response.headers_mut());
        }
        if let Ok(id) = HeaderValue::from_str(&trace.request_id) {
            response.headers_mut().insert("x-request-id", id);
        }
        if is_head {
            response = response.map(|_| Body::empty());
        }
        line.follow(response)
    }

    /// Reads the request, calls the method and turns its answer into HTTP.
    async fn serve(&self, visit: Visit, body: Body) -> Result<Response<Body>, Fault> {
        let plan = &visit.route.plan;
        let timeout = Duration::from_millis(self.config.request_timeout_ms);
        match (&plan.body, &plan.answer) {
            (BodyKind::Upload(_), _) => {
                let timeout = Duration::from_millis(self.config.upload_timeout_ms);
                within(timeout, self.upload(&visit, body, timeout)).await
            }
            (_, Answer::Events | Answer::Download) => {
                let message = within(timeout, self.request(&visit, body)).await?;
                let call = self.call(&visit, None);
                let answered =
                    within(timeout, async { Ok(self.upstream.server_streaming(call, message).await?) }).await?;
                self.stream(visit, answered).await
            }
            _ => {
                within(timeout, async {
                    let message = self.request(&visit, body).await?;
                    let answered = self.upstream.unary(self.call(&visit, Some(timeout)), message).await;
                    // A refusal may have changed something too: it ends the session of whoever was refused.
                    self.note(&visit, answered.as_ref().map_or_else(Status::metadata, tonic::Response::metadata)).await;
                    self.single(&visit, answered?)
                })
                .await
            }
        }
    }

    /// The request's message.
    async fn request(&self, visit: &Visit, body: Body) -> Result<bytes::Bytes, Fault> {
        let Visit { parts, route, bound, .. } = visit;
        let pause_max = Duration::from_millis(self.config.idle_timeout_ms);
        let body = match &route.plan.body {
            BodyKind::Ignored => bytes::Bytes::new(),
            kind => {
                let is_json = !matches!(kind, BodyKind::Raw(_));
                check_media_type(&parts.headers, is_json && route.method.dialect == Dialect::Cairn)?;
                let bytes_max = self.config.body_bytes_max as u64;
                let limit = Limit { bytes_max, setting: "gateway.body_bytes_max" };
                Intake::new(body, &parts.headers, limit, pause_max)?.whole().await?
            }
        };
        let message = route.plan.request(&self.router.plans, bound, parts.uri.query(), &parts.headers, &body);
        Ok(message.map_err(invalid)?.into())
    }

    async fn upload(&self, visit: &Visit, body: Body, timeout: Duration) -> Result<Response<Body>, Fault> {
        let Visit { parts, route, bound, .. } = visit;
        check_media_type(&parts.headers, false)?;
        let plans = &self.router.plans;
        let first = route.plan.request(plans, bound, parts.uri.query(), &parts.headers, &[]).map_err(invalid)?;
        let limit = Limit { bytes_max: self.config.upload_bytes_max, setting: "gateway.upload_bytes_max" };
        let pause_max = Duration::from_millis(self.config.idle_timeout_ms);
        let upload = Upload::new(route, plans, first, &parts.headers, body, (limit, pause_max))?;
        let (body, broken) = upload.body();
        let answered = self.upstream.upload(self.call(visit, Some(timeout)), body).await;
        // What the service says of a body that broke off is not what the client needs to know.
        if let Some(refusal) = broken.lock().take() {
            return Err(refusal.into());
        }
        let answered = answered?;
        self.note(visit, answered.metadata()).await;
        self.single(visit, answered)
    }

    /// The call that a request becomes. It waits for what its caller has changed before, unless it says itself what for.
    fn call(&self, visit: &Visit, timeout: Option<Duration>) -> Call {
        let mut call = forward::call(visit, timeout);
        if let Some(position) = self.changes.seen_by(visit.known.as_ref(), &self.authenticator.access)
            && call.metadata.get(guard::AFTER).is_none()
        {
            put(&mut call.metadata, guard::AFTER, &position.to_string());
        }
        call
    }

    async fn note(&self, visit: &Visit, answered: &MetadataMap) {
        let position = answered.get(guard::POSITION).and_then(|value| value.to_str().ok());
        self.changes.note(visit.known.as_ref(), position, visit.route.method, &self.authenticator.access).await;
    }

    /// An answer that came at once.
    fn single(&self, visit: &Visit, answered: tonic::Response<bytes::Bytes>) -> Result<Response<Body>, Fault> {
        let (metadata, message, _) = answered.into_parts();
        let mut response = if visit.route.plan.answer == Answer::Raw {
            match visit.route.method.dialect {
                Dialect::Oauth => raw::login(&metadata, message)?,
                _ => raw::whole(&metadata, message)?,
            }
        } else {
            self.told(visit, &message)?
        };
        keep(&metadata, response.headers_mut());
        Ok(response)
    }

    /// An answer in JSON, told as its method's contract has it: with 200, with 201 and a place, or with 204 and nothing.
    fn told(&self, visit: &Visit, message: &bytes::Bytes) -> Result<Response<Body>, Fault> {
        let (plan, plans) = (&visit.route.plan, &self.router.plans);
        let text = |field: &str| {
            let value = transcode::string_field(plan.output(plans), field, message)?;
            std::str::from_utf8(value).ok()
        };
        let success = visit.route.method.success;
        if success == Success::NoContent {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        }
        let mut response = Response::new(Body::from(plan.json(plans, message).map_err(Refusal::internal)?));
        let mut headers = vec![(header::CONTENT_TYPE, "application/json".to_owned())];
        headers.extend(text("etag").map(|etag| (header::ETAG, format!("\"{etag}\""))));
        if success == Success::Created {
            *response.status_mut() = StatusCode::CREATED;
            // A resource name is its own path, under the version that it was made by.
            let path = visit.route.binding.template.as_str();
            let version = path.strip_prefix("/api/").and_then(|rest| rest.split('/').next()).unwrap_or("v1");
            headers.extend(text("name").map(|name| (header::LOCATION, format!("/api/{version}/{name}"))));
        }
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        Ok(response)
    }

    /// An answer that comes piece by piece.
    async fn stream(
        &self,
        visit: Visit,
        answered: tonic::Response<tonic::Streaming<bytes::Bytes>>,
    ) -> Result<Response<Body>, Fault> {
        let (metadata, messages, _) = answered.into_parts();
        let mut response = if visit.route.plan.answer == Answer::Download {
            raw::download(&metadata, messages).await?
        } else {
            let notation = Notation::of(&visit.parts.headers);
            let live = Live {
                route: visit.route,
                plans: Arc::clone(&self.router.plans),
                trace: visit.trace,
                keep_alive: Duration::from_millis(self.config.keep_alive_ms),
                closing: self.closing.clone(),
            };
            let place = metadata.get(guard::CURSOR).and_then(|place| place.to_str().ok());
            live.answer(messages, notation, place)
        };
        keep(&metadata, response.headers_mut());
        Ok(response)
    }
}

/// The dialect of a path without a route, so that its clients understand the refusal.
fn dialect_of(path: &str) -> Dialect {
    match path {
        path if path.contains("/mlflow") => Dialect::Mlflow,
        path if path.starts_with("/scim/") => Dialect::Scim,
        path if path.starts_with("/v1/") => Dialect::Vault,
        _ => Dialect::Cairn,
    }
}

async fn within<T>(timeout: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
        let problem = "the request was not done in time";
        Err(Refusal::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", problem).into())
    })
}

fn invalid(fault: transcode::Fault) -> Refusal {
    Refusal::new(Code::InvalidArgument, "VALIDATION_ERROR", fault.to_string()).with("field", fault.field)
}

/// What ends a request early: a refusal of the gateway's own, or a status from behind.
enum Fault {
    Own(Box<Refusal>),
    Theirs(Box<tonic::Status>),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Own(Box::new(refusal))
    }
}

impl From<tonic::Status> for Fault {
    fn from(status: tonic::Status) -> Self {
        Self::Theirs(Box::new(status))
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Own(refusal) => (*refusal).into(),
            Fault::Theirs(status) => (&*status).into(),
        }
    }
}
