use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use cairn_access::{Access, Decision, Denial, Reach};
use cairn_contract::Method;
use cairn_contract::cairn::options::v1::Dialect;
use cairn_kernel::{Code, Name, Principal, PrincipalKind};
use http::Request;
use http::request::Parts;
use parking_lot::Mutex;
use tonic::body::Body;

use super::callers::Callers;
use super::head::Head;
use super::{Limits, digest, frame};
use crate::ctx::Inner;
use crate::telemetry::Traceparent;
use crate::tls::PeerRoles;
use crate::{Ctx, Refusal};

/// Decides who comes in.
pub(crate) struct Admission {
    callers: Callers,
    access: Arc<Access>,
    message_bytes_max: usize,
}

/// A call that may go on.
pub(crate) struct Admitted {
    pub ctx: Ctx,
    pub message: Bytes,
    pub body: Body,
    pub is_inflated: bool,
}

/// A call that may not.
pub(crate) struct Refused {
    pub refusal: Refusal,
    /// Whose call it was and what they sent, once that is known.
    pub ctx: Option<(Ctx, Bytes)>,
}

impl Refused {
    /// Refused before anybody was identified.
    pub fn before(refusal: Refusal) -> Box<Self> {
        Box::new(Self { refusal, ctx: None })
    }
}

impl Admission {
    pub fn new(callers: Callers, access: Arc<Access>, limits: &Limits) -> Self {
        Self { callers, access, message_bytes_max: limits.message_bytes_max }
    }

    /// Identifies, reads the first message, finds the resource in it, and decides. In this order: a stranger learns
    /// nothing about what a request should look like.
    pub async fn admit(
        &self,
        method: &'static Method,
        head: &Head,
        traceparent: Traceparent,
        parts: &Parts,
        body: Body,
    ) -> Result<Admitted, Box<Refused>> {
        let principal = self.callers.identify(head.token.as_deref()).map_err(Refused::before)?;
        if let Some(roles) = &head.peer
            && !may_speak_for(roles, &principal)
        {
            let message =
                format!("the process that calls is {}, which does not speak for {principal}", roles.0.join(", "));
            return Err(Refused::before(Refusal::new(Code::Unauthenticated, "PEER_NOT_TRUSTED", message)));
        }
        if principal.is_anonymous() && !method.is_public {
            let message = format!("{} needs a credential", method.name);
            let refusal = Refusal::new(Code::Unauthenticated, "CREDENTIAL_MISSING", message);
            return Err(Refused::before(refusal));
        }
        let mut inner = Inner {
            principal,
            method,
            resource: Name::ROOT,
            project: None,
            request_id: head.request_id.clone(),
            request_hash: String::new(),
            correlation_id: head.request_id.clone(),
            traceparent: Some(traceparent.to_string()),
            source_address: head.source.clone(),
            sealed_source: head.sealed_source.clone(),
            decision_id: None,
            policy_position: None,
            break_glass: None,
            deadline: head.deadline,
            after: None,
            access: Arc::clone(&self.access),
            refused: Mutex::default(),
            stored: AtomicU64::default(),
            known: Mutex::default(),
        };
        let mut message = Bytes::new();
        match self.examine(&mut inner, head, parts, body, &mut message).await {
            Ok((body, is_inflated)) => Ok(Admitted { ctx: Ctx { inner: Arc::new(inner) }, message, body, is_inflated }),
            Err(refusal) => Err(Box::new(Refused { refusal, ctx: Some((Ctx { inner: Arc::new(inner) }, message)) })),
        }
    }

    /// Fills in what the request says, and decides on it.
    async fn examine(
        &self,
        inner: &mut Inner,
        head: &Head,
        parts: &Parts,
        body: Body,
        message: &mut Bytes,
    ) -> Result<(Body, bool), Refusal> {
        let method = inner.method;
        let encoding = parts.headers.get("grpc-encoding").and_then(|value| value.to_str().ok());
        let is_single = !method.descriptor.is_client_streaming();
        let opened = frame::open(body, encoding, self.message_bytes_max, is_single).await?;
        *message = opened.message;
        if !method.is_read {
            inner.request_hash = digest(&self.access, method, message);
        }
        let ambient = head.project.clone()?;
        inner.after = head.after.clone()?;
        if let Some(after) = inner.after {
            // Whatever was answered elsewhere before counts here: who may do what, and the states that commands decide on.
            self.access.has_read(after, inner.deadline).await?;
        }
        if !method.resource.is_empty() {
            inner.resource = resource(method, message, ambient.as_ref())?;
        }
        inner.project = inner.resource.project().or(ambient);
        if !method.is_public {
            self.decide(inner)?;
        }
        Ok((opened.body, opened.is_inflated))
    }

    fn decide(&self, inner: &mut Inner) -> Result<(), Refusal> {
        let method = inner.method;
        let (from, resource) = (inner.circumstances(), &inner.resource);
        let decision = self.access.decide_in(from, &inner.principal, &method.permission, resource, reach(method));
        inner.decision_id = Some(decision.id.clone());
        inner.policy_position = Some(decision.policy);
        inner.break_glass.clone_from(&decision.activation);
        match decision.denial {
            None => Ok(()),
            Some(denial) => {
                inner.note(&decision);
                Err(denied(denial, &decision, &method.permission, &inner.resource, &inner.principal))
            }
        }
    }
}

/// Whether a process may bring calls of a principal: each role speaks for itself, the gateway for everybody else. What a
/// stolen token of a service is worth then takes that service's certificate too.
fn may_speak_for(PeerRoles(roles): &PeerRoles, principal: &Principal) -> bool {
    roles.iter().any(|role| match principal.kind {
        PrincipalKind::Service => principal.name == Principal::service(role).name,
        PrincipalKind::User | PrincipalKind::ServiceAccount | PrincipalKind::Anonymous => role == GATEWAY,
    })
}

/// The role that asks for others.
const GATEWAY: &str = "gateway";

/// The request as the service sees it: with the caller, and a body that starts at its beginning.
pub(crate) fn forward(mut parts: Parts, ctx: &Ctx, body: Body, is_inflated: bool) -> Request<Body> {
    if is_inflated {
        parts.headers.remove("grpc-encoding");
    }
    parts.extensions.insert(ctx.clone());
    Request::from_parts(parts, body)
}

/// How much of its resource a method asks for. Where the path names a project and no more, the service asks for the rest.
pub(crate) fn reach(method: &Method) -> Reach {
    let is_exact = matches!(method.dialect, Dialect::Cairn | Dialect::Scim | Dialect::Grpc);
    if method.is_filtered || !is_exact { Reach::Somewhere } else { Reach::Exact }
}

fn resource(method: &Method, message: &[u8], ambient: Option<&Name>) -> Result<Name, Refusal> {
    let ambient = ambient.map(Name::as_str);
    let text = method
        .resource_of(message, ambient)
        .map_err(|fault| Refusal::new(Code::InvalidArgument, "VALIDATION_ERROR", fault.to_string()))?;
    Ok(text.parse::<Name>()?)
}

/// What a caller is told that may not. Not allowed and not there look the same, but to those who may see the project.
pub(crate) fn denied(
    denial: Denial,
    decision: &Decision,
    permission: &str,
    resource: &Name,
    principal: &Principal,
) -> Refusal {
    let project = || resource.project().map_or_else(|| resource.to_string(), |project| project.to_string());
    let refusal = match denial {
        Denial::Stale => {
            let message = "access changes have not been heard of for too long to decide safely";
            return Refusal::new(Code::Unavailable, "POLICY_STALE", message).after(Duration::from_secs(1));
        }
        Denial::PrincipalDisabled => {
            let message = format!("{principal} is disabled, or its credential has been revoked");
            Refusal::new(Code::Unauthenticated, "CREDENTIAL_REVOKED", message).with("principal", principal)
        }
        Denial::ProjectDeleted => {
            let message = format!("{} is deleted; restore it first", project());
            Refusal::new(Code::FailedPrecondition, "PROJECT_DELETED", message).with("project", project())
        }
        Denial::ProjectUnknown => {
            let message = format!("there is no project {}", project());
            Refusal::new(Code::NotFound, "PROJECT_NOT_FOUND", message).with("project", project())
        }
        // Whoever holds the right may know what keeps them from using it.
        Denial::Guardrail => {
            let Some(forbidden) = &decision.forbidden else { return Refusal::internal("nothing forbids") };
            let why = match &forbidden.fault {
                None => "forbids it".to_owned(),
                Some(fault) => format!("cannot be evaluated: {fault}"),
            };
            let message = format!("{permission} on {resource} is refused: {} {why}", forbidden.guardrail);
            Refusal::new(Code::PermissionDenied, "GUARDRAIL_FORBIDS", message)
                .with("permission", permission)
                .with("resource", resource)
                .with("guardrail", &forbidden.guardrail)
        }
        Denial::NotGranted | Denial::Denied | Denial::OutOfScope => {
            let message = format!("{permission} on {resource} is not allowed (or it might not exist)");
            Refusal::new(Code::PermissionDenied, "ACCESS_DENIED", message)
                .with("permission", permission)
                .with("resource", resource)
        }
    };
    refusal.with("decision_id", &decision.id)
}
