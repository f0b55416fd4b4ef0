use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_access::guardrail::Known;
use cairn_access::{Access, Circumstances, Decision, Facts, ProjectQuota, Reach};
use cairn_contract::Method;
use cairn_eventstore::{Order, RequestKey};
use cairn_kernel::{AsOf, Metadata, Name, Position, Principal};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::guard::{POSITION, REQUEST_ID, denied, reach};
use crate::telemetry::TRACEPARENT;
use crate::{Refusal, field, network_of, refuse};

/// Namespace of the ids derived from callers' request ids.
const REQUESTS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_7265_7175_6573);

/// Who calls, for what, and until when. The guard makes it; a handler takes it.
#[derive(Clone)]
pub struct Ctx {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub principal: Principal,
    pub method: &'static Method,
    pub resource: Name,
    pub project: Option<Name>,
    pub request_id: String,
    pub request_hash: String,
    pub correlation_id: String,
    pub traceparent: Option<String>,
    pub source_address: Option<String>,
    pub sealed_source: Option<String>,
    pub decision_id: Option<String>,
    pub policy_position: Option<u64>,
    pub break_glass: Option<String>,
    pub deadline: Instant,
    pub after: Option<Position>,
    pub access: Arc<Access>,
    /// The last refusal of access in this call, and what it rests on.
    pub refused: Mutex<Option<(String, Box<Facts>)>>,
    /// Where the last change of this call is stored. 0: it has made none that its handler waited for.
    pub stored: AtomicU64,
    /// What the service knew when it asked guardrails. `None`: it has not asked.
    pub known: Mutex<Option<String>>,
}

impl Inner {
    /// What is known of the request besides who asks for what.
    pub fn circumstances(&self) -> Circumstances {
        Circumstances::from_source(self.source_address.as_deref())
    }

    /// What is written down of where the request came from: sealed for whom it tells of, and of a stranger the network.
    fn recorded_source(&self) -> Option<String> {
        match (&self.sealed_source, &self.source_address) {
            (Some(sealed), _) if !self.principal.is_anonymous() => Some(sealed.clone()),
            (_, Some(address)) if self.principal.is_anonymous() => network_of(address),
            _ => None,
        }
    }

    /// Keeps what a refusal rests on, for the record of it.
    pub fn note(&self, decision: &Decision) {
        if let Some(facts) = &decision.facts {
            *self.refused.lock() = Some((decision.id.clone(), facts.clone()));
        }
    }
}

impl Ctx {
    /// Takes the caller off a request. A method that the guard does not stand before has none, and answers `INTERNAL`.
    pub fn accept<T>(request: Request<T>) -> Result<(Self, T), Status> {
        let ctx = request.extensions().get::<Self>().cloned();
        let ctx = ctx.ok_or_else(|| refuse(Refusal::internal("the method is not behind the guard")))?;
        Ok((ctx, request.into_inner()))
    }

    /// Who calls.
    pub fn principal(&self) -> &Principal {
        &self.inner.principal
    }

    /// The method called.
    pub fn method(&self) -> &'static Method {
        self.inner.method
    }

    /// The resource the contract names for this call.
    pub fn resource(&self) -> &Name {
        &self.inner.resource
    }

    /// The project the caller works in: that of the resource, or the ambient one of a compatibility dialect.
    pub fn project(&self) -> Option<&Name> {
        self.inner.project.as_ref()
    }

    /// How much the project may take up that the caller works in.
    pub fn quota(&self) -> ProjectQuota {
        self.project().map(|project| self.inner.access.quota(project)).unwrap_or_default()
    }

    /// When the caller stops waiting.
    pub fn deadline(&self) -> Instant {
        self.inner.deadline
    }

    /// The position this read must have seen (`cairn-after`).
    pub fn after(&self) -> Option<Position> {
        self.inner.after
    }

    /// The moment that a request's own `as_of` field names; empty: none in particular.
    pub fn as_of(&self, text: &str) -> Result<Option<AsOf>, Status> {
        if text.is_empty() { Ok(None) } else { field("as_of", text).map(Some) }
    }

    /// Names this request in logs, events and errors.
    pub fn request_id(&self) -> &str {
        &self.inner.request_id
    }

    /// The address the request came from.
    pub fn source_address(&self) -> Option<&str> {
        self.inner.source_address.as_deref()
    }

    /// The answer to a change, with the position it was stored at: a caller that sends it back as `cairn-after` reads
    /// its own write, wherever it reads.
    pub fn reply<T>(&self, message: T, position: Position) -> Response<T> {
        let mut response = Response::new(message);
        response.metadata_mut().insert(POSITION, position.0.into());
        response
    }

    /// Notes where a change of this call is stored, for an answer that does not say so itself: a page, a redirect, a refusal.
    pub fn stored(&self, position: Position) {
        self.inner.stored.fetch_max(position.0, Ordering::Relaxed);
    }

    /// A call to another service on this one's way: same request id, same trace, and no more time than is left.
    pub fn outgoing<T>(&self, message: T) -> Request<T> {
        let inner = &self.inner;
        let mut request = Request::new(message);
        request.set_timeout(inner.deadline.saturating_duration_since(Instant::now()));
        let pairs = [(REQUEST_ID, Some(&inner.request_id)), (TRACEPARENT, inner.traceparent.as_ref())];
        for (key, value) in pairs {
            if let Some(value) = value.and_then(|value| value.parse().ok()) {
                request.metadata_mut().insert(key, value);
            }
        }
        request
    }

    /// The decision that let the call in.
    pub(crate) fn decision_id(&self) -> Option<&str> {
        self.inner.decision_id.as_deref()
    }

    /// Decides anew on what let the call in.
    pub(crate) fn still_allowed(&self) -> Result<(), Refusal> {
        let Inner { principal, method, resource, access, .. } = &*self.inner;
        let from = self.inner.circumstances();
        let decision = access.decide_in(from, principal, &method.permission, resource, reach(method));
        let Some(denial) = decision.denial else { return Ok(()) };
        Err(denied(denial, &decision, &method.permission, resource, principal))
    }

    /// Asks for a further permission, on a resource only the service knows.
    pub fn require(&self, permission: &str, resource: &Name) -> Result<(), Status> {
        let Inner { access, principal, .. } = &*self.inner;
        let from = self.inner.circumstances();
        let decision = access.decide_in(from, principal, permission, resource, Reach::Exact);
        let Some(denial) = decision.denial else { return Ok(()) };
        self.inner.note(&decision);
        Err(refuse(denied(denial, &decision, permission, resource, &self.inner.principal)))
    }

    /// Asks whether the caller may use a right, and the guardrails of the organization that the resource belongs to, with
    /// what only the service knows. For methods that the contract marks as guarded by their service: before anything of
    /// them is stored, and before [`Ctx::order`], which keeps what was known.
    pub fn guard(&self, permission: &str, resource: &Name, known: &Known) -> Result<(), Status> {
        let Inner { access, principal, .. } = &*self.inner;
        // Whatever comes of it keeps it, so that the decision can be taken again.
        *self.inner.known.lock() = Some(known.encode());
        let decision = access.decide_knowing(self.inner.circumstances(), principal, permission, resource, known);
        let Some(denial) = decision.denial else { return Ok(()) };
        self.inner.note(&decision);
        Err(refuse(denied(denial, &decision, permission, resource, principal)))
    }

    /// Whether the service has asked guardrails.
    pub(crate) fn is_guarded(&self) -> bool {
        self.inner.known.lock().is_some()
    }

    /// Whether the caller holds a further permission, for what does not fail without it. Not whether guardrails let them
    /// use it at this moment.
    pub fn allows(&self, permission: &str, resource: &Name) -> Decision {
        let Inner { access, principal, .. } = &*self.inner;
        access.holds(self.inner.circumstances(), principal, permission, resource)
    }

    /// The prefixes at or below `under` that the caller may see: what a list puts into its query.
    pub fn visible(&self, permission: &str, under: &Name) -> Vec<Name> {
        self.inner.access.visible(self.inner.circumstances(), &self.inner.principal, permission, under)
    }

    /// What is stored with the events of this call. `request_id` is the request's own field; empty: retries are new
    /// requests.
    pub fn order(&self, request_id: &str) -> Order {
        let inner = &self.inner;
        let key = (!request_id.is_empty()).then(|| {
            let text = format!("{}\n{}\n{request_id}", inner.principal.name, inner.method.path);
            RequestKey { id: Uuid::new_v5(&REQUESTS, text.as_bytes()), hash: inner.request_hash.clone() }
        });
        Order { metadata: self.metadata(), request: key }
    }

    /// Who, for which request, under which decision.
    pub fn metadata(&self) -> Metadata {
        let inner = &self.inner;
        Metadata {
            principal: inner.principal.name.clone(),
            on_behalf_of: None,
            project: inner.project.as_ref().map(Name::to_string),
            action: inner.method.permission.clone(),
            resource: inner.resource.to_string(),
            request_id: inner.request_id.clone(),
            request_hash: None,
            correlation_id: inner.correlation_id.clone(),
            causation_id: None,
            traceparent: inner.traceparent.clone(),
            source_address: inner.recorded_source(),
            decision_id: inner.decision_id.clone(),
            policy_position: inner.policy_position,
            guarded: inner.known.lock().clone(),
            break_glass: inner.break_glass.clone(),
            credential: inner.principal.credential.clone(),
            scopes: inner.principal.scopes.clone(),
        }
    }
}
