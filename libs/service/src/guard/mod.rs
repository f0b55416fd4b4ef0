//! The one door of every service, in process and over a socket: who calls, whether they may, and what is written down
//! of it.
//!
//! Generic: all it knows of a method it reads from the contract. Holds one message of a request in memory, the first;
//! whatever follows streams through.

mod admission;
mod callers;
mod frame;
mod head;
mod limits;
mod line;
mod outcome;
mod record;
mod strangers;
mod tenants;
mod turns;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use cairn_access::Access;
use cairn_contract::cairn::options::v1::{Guarded, Process};
use cairn_contract::{Contract, Method, Violations};
use cairn_eventstore::{AppendFault, EventStore};
use cairn_kernel::{Clock, Code};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::time::timeout_at;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Layer, Service};
use tracing::{Instrument, debug_span, info_span};

use self::admission::{Admission, Refused};
use self::callers::Callers;
use self::line::{Line, watched};
use self::outcome::Outcome;
use self::strangers::Strangers;
use self::tenants::{Tenants, in_place, is_in_place};
use crate::allowance::{Shared as SharedLimits, Standing, tell};
use crate::telemetry::Traceparent;
use crate::{Ctx, Deps, Refusal, Writer};

pub(crate) use self::admission::{denied, reach};
pub(crate) use self::head::grpc_timeout;
pub use self::head::{AFTER, CURSOR, POSITION, PRINCIPAL, PROJECT, REQUEST_ID, SEALED_SOURCE, SOURCE};
pub use self::limits::Limits;

/// The address at the other end of a socket, as an extension of its requests.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Puts the guard in front of a process's services. Cheap to clone.
#[derive(Clone)]
pub struct GuardLayer {
    shared: Arc<Shared>,
}

/// Services behind the guard. Cheap to clone.
#[derive(Clone)]
pub struct Guard {
    shared: Arc<Shared>,
    routes: Routes,
}

struct Shared {
    contract: &'static Contract,
    admission: Admission,
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    strangers: Arc<Strangers>,
    tenants: Tenants,
    text_bytes_max: usize,
    limits: Limits,
    changes: TaskTracker,
}

impl GuardLayer {
    /// A guard that decides with the access replica and records into the event store of `deps`. Fails if the contract
    /// of this program does not load.
    pub fn new(deps: &Deps, limits: Limits) -> Result<Self, &'static Violations> {
        Ok(Self::with_contract(Contract::embedded()?, deps, limits))
    }

    /// The same for another contract than this program's own.
    pub fn with_contract(contract: &'static Contract, deps: &Deps, limits: Limits) -> Self {
        let callers = Callers::new(Arc::clone(&deps.access), Arc::clone(&deps.clock), limits.tokens_max);
        let strangers = Strangers::new(Arc::clone(&deps.store), Arc::clone(&deps.clock), limits.strangers_max);
        let shared = Shared {
            contract,
            admission: Admission::new(callers, Arc::clone(&deps.access), &limits),
            store: Arc::clone(&deps.store),
            clock: Arc::clone(&deps.clock),
            strangers: Arc::new(strangers),
            tenants: Tenants::new(&limits),
            text_bytes_max: limits.audit_text_bytes_max,
            limits,
            changes: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Counts what projects may be sent together with other replicas from now on.
    pub fn share_limits(&self, shared: SharedLimits) {
        self.shared.tenants.share(shared);
    }

    /// Waits for changes whose callers have hung up, and writes what is still only counted. Before the store closes.
    pub async fn drain(&self) -> Result<(), AppendFault> {
        self.shared.changes.close();
        self.shared.changes.wait().await;
        self.shared.strangers.flush().await
    }
}

impl Layer<Routes> for GuardLayer {
    type Service = Guard;

    fn layer(&self, routes: Routes) -> Guard {
        Guard { shared: Arc::clone(&self.shared), routes: routes.prepare() }
    }
}

impl Service<Request<Body>> for Guard {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (shared, routes) = (Arc::clone(&self.shared), self.routes.clone());
        Box::pin(async move { Ok(shared.answer(routes, request).await) })
    }
}

impl Shared {
    async fn answer(self: Arc<Self>, routes: Routes, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path();
        let is_nested = is_in_place();
        match self.contract.method(path) {
            Some(method) if method.is_read => self.visit(method, routes, request, is_nested).await,
            // A change that was let in is finished and recorded even if its caller hangs up meanwhile: hanging up must
            // not be a way to change something unrecorded.
            Some(method) => {
                let shared = Arc::clone(&self);
                let change = self.changes.spawn(async move { shared.visit(method, routes, request, is_nested).await });
                change.await.unwrap_or_else(|fault| outcome::answer(Refusal::internal(fault)))
            }
            None if path.starts_with("/grpc.health.v1.Health/") => run(routes, request).await,
            None => outcome::answer(unknown(path)),
        }
    }

    /// One call, from its head to its line in the log.
    async fn visit(
        &self,
        method: &'static Method,
        routes: Routes,
        request: Request<Body>,
        is_nested: bool,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let head = head::Head::read(method, &parts.headers, &parts.extensions, &self.limits);
        let span = info_span!("rpc", otel.name = %method.name, otel.kind = "server", rpc.method = %method.path);
        if let Some(caller) = head.traceparent {
            caller.adopt(&span);
        }
        let traceparent = Traceparent::of(&span).or(head.traceparent).unwrap_or_else(Traceparent::fresh);
        let mut line = Line::begin(method, &head, traceparent);

        async move {
            let mut standings = vec![];
            let admitted = self.admission.admit(method, &head, traceparent, &parts, body);
            let admitted = timeout_at(head.deadline, admitted.instrument(debug_span!("authorize")));
            let admitted = admitted.await.unwrap_or_else(|_| Err(Refused::before(late())));
            let (seen, answer) = match admitted {
                Ok(admitted) => {
                    line.knows(&admitted.ctx, &admitted.message);
                    let request = admission::forward(parts, &admitted.ctx, admitted.body, admitted.is_inflated);
                    let work = self.serve(&admitted.ctx, routes, request, is_nested, &mut standings);
                    let answer = timeout_at(head.deadline, work).await;
                    let answer = answer.unwrap_or_else(|_| outcome::answer(late()));
                    (Some((admitted.ctx, admitted.message)), answer)
                }
                Err(refused) => {
                    let Refused { refusal, ctx } = *refused;
                    if ctx.is_none() {
                        self.strangers.count(head.source.as_deref(), refusal.reason);
                    }
                    let seen = ctx.map(|(ctx, message)| {
                        line.knows(&ctx, &message);
                        (ctx, message)
                    });
                    (seen, outcome::answer(refusal))
                }
            };
            let mut answer = outcome::translated(answer);
            if let Some((ctx, _)) = &seen {
                outcome::say_where_stored(&mut answer, ctx);
            }
            let mut outcome = Outcome::of(&answer);
            // INVARIANT: nothing that the contract wants guarded by its service happens unasked.
            debug_assert!(
                !outcome.is_ok()
                    || method.guarded != Guarded::ByService
                    || seen.as_ref().is_some_and(|(ctx, _)| ctx.is_guarded()),
                "{} did not ask guardrails",
                method.path
            );
            if let Some((ctx, message)) = &seen
                && let Err(fault) = self.record(ctx, message, &outcome).await
            {
                answer = outcome::answer(fault.into());
                outcome = Outcome::of(&answer);
            }
            let mut answer = outcome::presentable(answer, line.request_id(), line.trace_id());
            tell(&standings, answer.headers_mut());
            if outcome.is_ok() && method.descriptor.is_server_streaming() {
                let ctx = seen.map(|(ctx, _)| ctx).filter(|_| !method.is_public);
                return watched(answer, line, ctx);
            }
            line.end(&outcome);
            answer
        }
        .instrument(span)
        .await
    }

    /// Calls the service once it is the tenant's turn. Says how the tenant's allowance stands.
    async fn serve(
        &self,
        ctx: &Ctx,
        routes: Routes,
        request: Request<Body>,
        is_nested: bool,
        standings: &mut Vec<Standing>,
    ) -> Response<Body> {
        let work = Writer::Operation(ctx.method()).run(run(routes, request));
        if is_nested {
            // What a call in its place asks for runs in that place.
            return work.await;
        }
        let counted = match self.tenants.count(ctx).await {
            Ok(counted) => counted,
            Err(exceeded) => {
                standings.extend(&exceeded.standings);
                return outcome::answer(tenants::exceeded(&exceeded));
            }
        };
        standings.extend(&counted.standings);
        match self.tenants.enter(ctx, &counted).await {
            Ok(place) => in_place(place, work).await,
            Err(refusal) => outcome::answer(refusal),
        }
    }

    /// Writes down what the contract and the outcome ask for, and waits until it is durable.
    async fn record(&self, ctx: &Ctx, message: &Bytes, outcome: &Outcome) -> Result<(), AppendFault> {
        if ctx.principal().is_anonymous() && !outcome.is_ok() {
            let reason = self.contract.reason(&outcome.reason).map_or("INTERNAL", |reason| reason.name.as_str());
            self.strangers.count(ctx.source_address(), reason);
            return Ok(());
        }
        let events = record::of_call(ctx, message, outcome, self.text_bytes_max);
        if events.is_empty() {
            return Ok(());
        }
        let scope = ctx.project().unwrap_or(ctx.resource());
        let write = record::write(scope, self.clock.now(), events);
        Writer::Process(Process::Guard).run(async { self.store.append(vec![write]).await }).await.map(drop)
    }
}

/// Calls the service. A panic in it is an error like any other.
async fn run(mut routes: Routes, request: Request<Body>) -> Response<Body> {
    let called = AssertUnwindSafe(async move { routes.call(request).await }).catch_unwind().await;
    match called {
        Ok(Ok(answer)) => answer.map(Body::new),
        Ok(Err(never)) => match never {},
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            outcome::answer(Refusal::internal(format!("the handler panicked: {text}")))
        }
    }
}

/// What tells a request from another. Of one that holds something sensitive it is keyed: it is kept for ever, and a short
/// secret could be guessed by it.
fn digest(access: &Access, method: &Method, message: &[u8]) -> String {
    if method.takes_sensitive { access.blind(message) } else { sha256(message) }
}

/// SHA-256, hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

fn unknown(path: &str) -> Refusal {
    Refusal::new(Code::Unimplemented, "METHOD_UNKNOWN", format!("there is no method {path}")).with("path", path)
}

fn late() -> Refusal {
    Refusal::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline passed before the request was done")
}
