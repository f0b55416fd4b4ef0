use std::borrow::Cow;

use bytes::Bytes;
use cairn_access::Denial;
use cairn_contract::cairn::ledger::events::v1::{
    AccessDenied, AccessFacts, Call, CommandRejected, ReadRecorded, RequestRecorded, RequestText, access_facts,
};
use cairn_contract::cairn::options::v1::Audit;
use cairn_contract::redact;
use cairn_eventstore::{NewEvent, Write};
use cairn_kernel::{Expected, Metadata, Name, StreamName, Time};
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use tonic::Code;
use uuid::Uuid;

use super::outcome::Outcome;
use crate::Ctx;
use crate::timestamp;

const CATEGORY: &str = "ledger.access";

/// What is written down of a call that ended this way. Nothing, for most.
pub(crate) fn of_call(ctx: &Ctx, message: &Bytes, outcome: &Outcome, text_bytes_max: usize) -> Vec<NewEvent> {
    let method = ctx.method();
    let is_marked = !matches!(method.audit, Audit::Unspecified | Audit::None);
    if outcome.is_ok() && !is_marked {
        return vec![];
    }
    let metadata = ctx.metadata();
    let code = outcome.code as i32;
    let mut events = vec![];
    if is_denial(outcome) {
        let denied = AccessDenied {
            call: Some(call(ctx, outcome.value("resource"), outcome.value("decision_id"))),
            permission: outcome.value("permission").unwrap_or(&method.permission).to_owned(),
            reason: outcome.reason.clone(),
            message: outcome.message.clone(),
            facts: outcome.value("decision_id").and_then(|id| facts(ctx, id)),
        };
        events.push(event(&denied, &metadata));
    } else if !method.is_read && is_rejection(outcome.code) {
        let rejected = CommandRejected {
            call: Some(call(ctx, None, None)),
            code,
            reason: outcome.reason.clone(),
            message: outcome.message.clone(),
        };
        events.push(event(&rejected, &metadata));
    }
    if !is_marked {
        return events;
    }
    let request = (method.audit == Audit::Request).then(|| text(ctx, message, text_bytes_max));
    let call = Some(call(ctx, None, None));
    events.push(if method.is_read {
        event(&ReadRecorded { call, code, request }, &metadata)
    } else {
        event(&RequestRecorded { call, code, request }, &metadata)
    });
    events
}

/// Where the records of one project and day are kept.
pub(crate) fn write(resource: &Name, now: Time, events: Vec<NewEvent>) -> Write {
    let scope = resource.project().map_or_else(|| "deployment".to_owned(), |project| project.to_string());
    let now = now.to_string();
    let (day, _) = now.split_once('T').unwrap_or((&now, ""));
    Write { stream: StreamName::of(CATEGORY, format!("{scope}/{day}")), expected: Expected::Any, follows: None, events }
}

/// An event to append, under a fresh id.
pub(crate) fn event<M: prost::Name>(message: &M, metadata: &Metadata) -> NewEvent {
    NewEvent {
        id: Uuid::new_v4(),
        kind: Cow::Owned(M::full_name()),
        payload: message.encode_to_vec().into(),
        metadata: metadata.encode().into(),
    }
}

/// A request as JSON with sensitive fields hidden; `None` if it is no message of that type.
pub(crate) fn json(input: &MessageDescriptor, message: &[u8]) -> Option<String> {
    let mut message = DynamicMessage::decode(input.clone(), message).ok()?;
    redact(&mut message);
    let mut json = vec![];
    let options = SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options).ok()?;
    String::from_utf8(json).ok()
}

/// The right was missing, whether the guard or the service found out.
fn is_denial(outcome: &Outcome) -> bool {
    matches!(outcome.reason.as_str(), "ACCESS_DENIED" | "GUARDRAIL_FORBIDS")
        || (outcome.code == Code::Unauthenticated && outcome.reason == "CREDENTIAL_REVOKED")
}

/// A rule of the service said no. Failures of ours, and callers that gave up, are no refusals.
fn is_rejection(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::AlreadyExists
            | Code::NotFound
            | Code::Aborted
            | Code::OutOfRange
            | Code::PermissionDenied
    )
}

fn call(ctx: &Ctx, resource: Option<&str>, decision_id: Option<&str>) -> Call {
    let metadata = ctx.metadata();
    Call {
        principal: metadata.principal,
        method: ctx.method().path.clone(),
        resource: resource.map_or(metadata.resource, str::to_owned),
        request_id: metadata.request_id,
        source_address: metadata.source_address.unwrap_or_default(),
        decision_id: decision_id.map(str::to_owned).or(metadata.decision_id).unwrap_or_default(),
    }
}

/// What the refusal with this id rests on, if access gave it in this call.
fn facts(ctx: &Ctx, decision_id: &str) -> Option<AccessFacts> {
    let refused = ctx.inner.refused.lock();
    let (_, facts) = refused.as_ref().filter(|(id, _)| id == decision_id)?;
    let denial = match facts.denial {
        Denial::NotGranted => access_facts::Denial::NotGranted,
        Denial::Denied => access_facts::Denial::Denied,
        Denial::Guardrail => access_facts::Denial::Guardrail,
        Denial::OutOfScope => access_facts::Denial::OutOfScope,
        Denial::PrincipalDisabled => access_facts::Denial::PrincipalDisabled,
        // Told as what they are, and recorded as that.
        Denial::Stale | Denial::ProjectDeleted | Denial::ProjectUnknown => access_facts::Denial::Unspecified,
    };
    let forbidden = facts.forbidden.clone();
    let grants = facts.grants.iter().map(|considered| access_facts::Grant {
        binding: considered.grant.binding.clone(),
        role: considered.grant.role_name().to_owned(),
        resource: considered.grant.resource.to_string(),
        expire_time: considered.grant.expire_time.map(timestamp),
        holds_permission: considered.holds_permission,
        covers_resource: considered.covers_resource,
        expired: considered.is_expired,
        group: considered.group.clone().unwrap_or_default(),
        denies: considered.grant.denies,
        condition_unmet: considered.is_unmet,
    });
    Some(AccessFacts {
        denial: denial.into(),
        grants: grants.collect(),
        grant_count: u32::try_from(facts.grant_count).unwrap_or(u32::MAX),
        scopes: facts.scopes.clone(),
        permissions: facts.permissions.clone(),
        policy_position: facts.policy,
        guardrail_fault: forbidden.as_ref().and_then(|forbidden| forbidden.fault.clone()).unwrap_or_default(),
        guardrail: forbidden.map(|forbidden| forbidden.guardrail).unwrap_or_default(),
    })
}

fn text(ctx: &Ctx, message: &Bytes, bytes_max: usize) -> RequestText {
    let method = ctx.method();
    let json =
        if message.len() <= bytes_max { json(&method.input(), message).unwrap_or_default() } else { String::new() };
    let sha256 = super::digest(&ctx.inner.access, method, message);
    RequestText { json, sha256, bytes: u32::try_from(message.len()).unwrap_or(u32::MAX) }
}
