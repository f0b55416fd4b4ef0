use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use cairn_access::Access;
use cairn_contract::Contract;
use cairn_contract::cairn::options::v1::Dialect;
use cairn_kernel::Code;
use cairn_service::Refusal;
use cairn_service::config::Section;
use cairn_service::guard::{self, Peer};
use cairn_service::telemetry::{TRACEPARENT, Traceparent};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method as Verb, Request, Response, StatusCode, header};
use tokio_util::sync::CancellationToken;
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tracing::{Instrument, info_span};

use crate::authn::{Authenticator, Known};
use crate::call::{Answer, Body as BodyKind};
use crate::caller::{self, Trace};
use crate::intake::Intake;
use crate::limit::Rates;
use crate::line::Line;
use crate::live::{Live, Notation};
use crate::problem::Problem;
use crate::route::{Found, Route, Router};
use crate::upload::Upload;
use crate::upstream::{Call, Upstream};
use crate::{Config, raw, transcode};

/// Everything a request passes on its way in and out. One per process, shared by both ports.
pub struct Edge {
    pub(crate) config: Config,
    pub(crate) contract: &'static Contract,
    pub(crate) authenticator: Authenticator,
    pub(crate) rates: Rates,
    pub(crate) upstream: Upstream,
    /// Cancelled when the process stops: streams without an end of their own end then.
    pub(crate) closing: CancellationToken,
    router: Router,
}

/// A request that has found its method and its caller.
struct Visit {
    parts: Parts,
    route: Arc<Route>,
    bound: Vec<(String, String)>,
    known: Option<Known>,
    source: Option<IpAddr>,
    project: Option<String>,
    trace: Trace,
}

impl Edge {
    /// Prepares every route, or lists what keeps the gateway from starting.
    pub fn new(
        config: Config,
        contract: &'static Contract,
        access: Arc<Access>,
        upstream: Upstream,
    ) -> Result<Self, Vec<String>> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            router: Router::new(contract)?,
            authenticator: Authenticator::new(access),
            rates: Rates::new(&config),
            closing: CancellationToken::new(),
            config,
            contract,
            upstream,
        })
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
        let mut dialect = dialect_of(parts.uri.path());

        let answered = match self.enter(parts, source, &trace, &mut line) {
            Ok(Entered::Visit(visit)) => {
                dialect = visit.route.method.dialect;
                self.serve(*visit, body).await
            }
            Ok(Entered::Answered(response)) => Ok(response),
            Err(fault) => Err(fault.into()),
        };
        let mut response = answered.unwrap_or_else(|fault| {
            let mut problem = Problem::from(fault);
            if is_conditional && problem.reason == "ETAG_MISMATCH" {
                problem.http = StatusCode::PRECONDITION_FAILED;
            }
            line.knows_reason(&problem.reason);
            problem.answer(dialect, &trace)
        });
        if let Ok(id) = HeaderValue::from_str(&trace.request_id) {
            response.headers_mut().insert("x-request-id", id);
        }
        if is_head {
            response = response.map(|_| Body::empty());
        }
        line.follow(response)
    }

    /// Finds the method and the caller.
    fn enter(&self, parts: Parts, source: Option<IpAddr>, trace: &Trace, line: &mut Line) -> Result<Entered, Refusal> {
        if let Some(name) = parts.headers.keys().find(|name| name.as_str().contains('_')) {
            // Some programs read `x_y` as `x-y`: a header that means something to them and nothing here.
            let problem = format!("the header {name} has an underscore in its name");
            return Err(Refusal::new(Code::InvalidArgument, "VALIDATION_ERROR", problem));
        }
        let (found, prefix) = self.find(&parts.method, parts.uri.path());
        let (route, bound) = match found {
            Found::Route(route, bound) => (route, bound),
            Found::OtherVerbs(verbs) => return other_verb(&parts.method, &verbs),
            Found::Nothing => {
                self.rates.stranger(source)?;
                let path: String = parts.uri.path().chars().take(256).collect();
                let problem = format!("no method answers to {} {path}", parts.method);
                return Err(Refusal::new(Code::NotFound, "ROUTE_NOT_FOUND", problem));
            }
        };
        line.knows_route(route.binding.template.as_str(), &route.method.path);
        let known = match self.authenticator.identify(&parts.headers) {
            Ok(known) => known,
            Err(refusal) => {
                self.rates.stranger(source)?;
                return Err(refusal);
            }
        };
        match &known {
            Some(known) => {
                line.knows_caller(&known.principal.name);
                self.rates.caller(&known.principal.name, &route.method.path)?;
            }
            None => self.rates.stranger(source)?,
        }
        let project = (route.method.dialect == Dialect::Mlflow).then(|| {
            let header = parts.headers.get("x-mlflow-workspace").and_then(|value| value.to_str().ok());
            let project = prefix.as_deref().or(header).filter(|project| !project.is_empty()).unwrap_or("default");
            format!("projects/{project}")
        });
        let visit = Visit { parts, route, bound, known, source, project, trace: trace.clone() };
        Ok(Entered::Visit(Box::new(visit)))
    }

    /// The route of a path; for a dialect whose clients only know one server's root, also below `/projects/{project}`.
    fn find(&self, verb: &Verb, path: &str) -> (Found, Option<String>) {
        let found = self.router.find(verb, path);
        let below = path.strip_prefix("/projects/").and_then(|rest| rest.find('/').map(|at| rest.split_at(at)));
        match (&found, below) {
            (Found::Nothing, Some((project, path))) => match self.router.find(verb, path) {
                Found::Route(route, bound) if route.method.dialect == Dialect::Mlflow => {
                    (Found::Route(route, bound), Some(project.to_owned()))
                }
                Found::OtherVerbs(verbs) => (Found::OtherVerbs(verbs), None),
                _ => (found, None),
            },
            _ => (found, None),
        }
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
                    let answered = self.upstream.unary(self.call(&visit, Some(timeout)), message).await?;
                    self.single(&visit, answered)
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
                Intake::new(body, &parts.headers, self.config.body_bytes_max as u64, pause_max)?.whole().await?
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
        let limits = (self.config.upload_bytes_max, Duration::from_millis(self.config.idle_timeout_ms));
        let upload = Upload::new(route, plans, first, &parts.headers, body, limits)?;
        let (body, broken) = upload.body();
        let answered = self.upstream.upload(self.call(visit, Some(timeout)), body).await;
        // What the service says of a body that broke off is not what the client needs to know.
        if let Some(refusal) = broken.lock().take() {
            return Err(refusal.into());
        }
        self.single(visit, answered?)
    }

    /// An answer that came at once.
    fn single(&self, visit: &Visit, answered: tonic::Response<bytes::Bytes>) -> Result<Response<Body>, Fault> {
        let plan = &visit.route.plan;
        let plans = &self.router.plans;
        let (metadata, message, _) = answered.into_parts();
        let mut response = if plan.answer == Answer::Raw {
            raw::whole(&metadata, message)?
        } else {
            let json = plan.json(plans, &message).map_err(Refusal::internal)?;
            let mut response = Response::new(Body::from(json));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let etag = transcode::string_field(plan.output(plans), "etag", &message);
            if let Some(etag) = etag.and_then(|etag| std::str::from_utf8(etag).ok())
                && let Ok(etag) = HeaderValue::from_str(&format!("\"{etag}\""))
            {
                headers.insert(header::ETAG, etag);
            }
            response
        };
        keep(&metadata, response.headers_mut());
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
            live.answer(messages, notation)
        };
        keep(&metadata, response.headers_mut());
        Ok(response)
    }

    /// Where the call goes, and what the services behind believe of its caller. Nothing the caller sent passes under
    /// these names.
    fn call(&self, visit: &Visit, timeout: Option<Duration>) -> Call {
        let mut metadata = MetadataMap::new();
        put(&mut metadata, guard::REQUEST_ID, &visit.trace.request_id);
        put(&mut metadata, TRACEPARENT, &visit.trace.parent.to_string());
        if let Some(known) = &visit.known {
            put(&mut metadata, guard::PRINCIPAL, &known.token);
        }
        if let Some(source) = visit.source {
            put(&mut metadata, guard::SOURCE, &source.to_string());
        }
        if let Some(project) = &visit.project {
            put(&mut metadata, guard::PROJECT, project);
        }
        let headers = &visit.parts.headers;
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(after) = text(&HeaderName::from_static(guard::AFTER)) {
            put(&mut metadata, guard::AFTER, after);
        }
        if matches!(visit.route.plan.answer, Answer::Raw | Answer::Download) {
            for name in &raw::ASKED {
                if let Some(value) = text(name) {
                    put(&mut metadata, &raw::key(name), value);
                }
            }
        }
        Call { path: visit.route.path.clone(), metadata, timeout }
    }
}

enum Entered {
    Visit(Box<Visit>),
    Answered(Response<Body>),
}

/// The dialect of a path without a route, so that its clients understand the refusal.
fn dialect_of(path: &str) -> Dialect {
    if path.contains("/mlflow") { Dialect::Mlflow } else { Dialect::Cairn }
}

/// `OPTIONS` is answered; any other verb that the path does not have is refused.
fn other_verb(verb: &Verb, verbs: &[Verb]) -> Result<Entered, Refusal> {
    let allowed: Vec<_> = verbs.iter().map(Verb::as_str).collect();
    let allowed = allowed.join(", ");
    if *verb != Verb::OPTIONS {
        let problem = format!("the path answers to {allowed}, not to {verb}");
        return Err(Refusal::new(Code::Unimplemented, "METHOD_NOT_ALLOWED", problem).with("allow", allowed));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    Ok(Entered::Answered(response))
}

/// Refuses encodings that were not undone, and, where JSON is expected, bodies that say they are something else.
fn check_media_type(headers: &HeaderMap, must_be_json: bool) -> Result<(), Refusal> {
    let refuse = |problem: String| Err(Refusal::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", problem));
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return refuse("the body's encoding must be gzip, zstd or none".to_owned());
    }
    let Some(value) = headers.get(header::CONTENT_TYPE).filter(|_| must_be_json) else { return Ok(()) };
    let value = value.to_str().unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return Ok(());
    }
    refuse(format!("the body must be application/json, not {essence:?}"))
}

/// Answer metadata that means the same over HTTP.
fn keep(metadata: &MetadataMap, headers: &mut HeaderMap) {
    let position = HeaderName::from_static(guard::POSITION);
    for name in [position, header::ETAG, header::RETRY_AFTER] {
        if let Some(value) = metadata.get(name.as_str()).and_then(|value| value.to_str().ok())
            && let Ok(value) = HeaderValue::from_str(value)
        {
            headers.insert(name, value);
        }
    }
}

fn put(metadata: &mut MetadataMap, key: &str, value: &str) {
    if let (Ok(key), Ok(value)) = (MetadataKey::from_bytes(key.as_bytes()), MetadataValue::try_from(value)) {
        metadata.insert(key, value);
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
