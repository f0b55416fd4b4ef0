//! Events as callers see them.

use cairn_contract::Contract;
use cairn_contract::cairn::ledger::v1::{AuditRecord, CloudEvent, Event};
use cairn_eventstore::Recorded;
use cairn_service::timestamp;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use cairn_service::entry::Entry;

/// An event as an audit record.
pub fn record(event: &Recorded, entry: Entry) -> AuditRecord {
    let project = entry.project().map(|project| project.to_string()).unwrap_or_default();
    let Entry { metadata, action, resource, outcome, reason, message, method } = entry;
    AuditRecord {
        position: event.position.to_string(),
        event_time: Some(timestamp(event.time)),
        principal: metadata.principal,
        on_behalf_of: metadata.on_behalf_of.unwrap_or_default(),
        action,
        resource: resource.to_string(),
        project,
        outcome: outcome.into(),
        reason,
        message,
        r#type: event.kind.to_string(),
        event_id: event.id.to_string(),
        request_id: metadata.request_id,
        correlation_id: metadata.correlation_id,
        decision_id: metadata.decision_id.unwrap_or_default(),
        source_address: metadata.source_address.unwrap_or_default(),
        method,
    }
}

/// An event with its data, as far as the contract knows its type.
pub fn event(contract: &Contract, event: &Recorded, entry: Entry) -> Event {
    let Entry { metadata, action, resource, .. } = entry;
    Event {
        position: event.position.to_string(),
        event_time: Some(timestamp(event.time)),
        r#type: event.kind.to_string(),
        stream: event.stream.to_string(),
        revision: event.revision.to_string(),
        event_id: event.id.to_string(),
        resource: resource.to_string(),
        principal: metadata.principal,
        on_behalf_of: metadata.on_behalf_of.unwrap_or_default(),
        action,
        request_id: metadata.request_id,
        correlation_id: metadata.correlation_id,
        causation_id: metadata.causation_id.unwrap_or_default(),
        decision_id: metadata.decision_id.unwrap_or_default(),
        source_address: metadata.source_address.unwrap_or_default(),
        traceparent: metadata.traceparent.unwrap_or_default(),
        data: contract.event_json(&event.kind, &event.payload).ok().and_then(structure),
    }
}

/// An event as a CloudEvent of a log.
pub fn cloud_event(contract: &Contract, source: &str, recorded: &Recorded, entry: Entry) -> CloudEvent {
    let project = entry.project().map(|project| project.to_string()).unwrap_or_default();
    let event = event(contract, recorded, entry);
    CloudEvent {
        specversion: "1.0".to_owned(),
        id: event.event_id,
        source: source.to_owned(),
        r#type: event.r#type,
        subject: event.resource,
        time: event.event_time,
        datacontenttype: event.data.as_ref().map(|_| "application/json".to_owned()).unwrap_or_default(),
        position: event.position,
        partitionkey: event.stream,
        principal: event.principal,
        project,
        traceparent: event.traceparent,
        data: event.data,
    }
}

/// Takes out of an event what is about the request rather than about the resource: from where it came, how it was traced
/// and decided on, and what else belonged to it.
pub fn hide_request(event: &mut Event) {
    for text in [
        &mut event.request_id,
        &mut event.correlation_id,
        &mut event.causation_id,
        &mut event.decision_id,
        &mut event.source_address,
        &mut event.traceparent,
    ] {
        text.clear();
    }
}

fn structure(json: serde_json::Value) -> Option<Struct> {
    match value(json).kind {
        Some(Kind::StructValue(fields)) => Some(fields),
        _ => None,
    }
}

fn value(json: serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(bool) => Kind::BoolValue(bool),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Kind::StringValue(text),
        serde_json::Value::Array(values) => {
            Kind::ListValue(ListValue { values: values.into_iter().map(value).collect() })
        }
        serde_json::Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, field)| (name, value(field))).collect();
            Kind::StructValue(Struct { fields })
        }
    };
    Value { kind: Some(kind) }
}
