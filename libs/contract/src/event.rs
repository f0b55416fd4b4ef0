use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;

use crate::cairn::options::v1::{Lineage, Process, Stream};
use crate::options::{Declared, message_option};
use crate::redact::redact;

/// A kind of event and what the contract says of it.
#[derive(Clone, Debug)]
pub struct EventType {
    /// Its full name, which is also its stored type: `cairn.registry.events.v1.AliasMoved`.
    pub full_name: String,
    /// First part of the names of the streams it lives in.
    pub category: String,
    /// How many of a stream's newest events are kept; nothing if all are.
    pub kept_max: Option<u64>,
    /// What it adds to the graph of what was made from what; nothing if it has no part in it.
    pub lineage: Option<Lineage>,
    /// What writes it besides the operations that name it ([`Method::events`](crate::Method::events)).
    pub by: Vec<Process>,
    /// The comment above it.
    pub comment: String,
    /// The message itself.
    pub descriptor: MessageDescriptor,
}

/// Why a stored event cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    #[error("{0} is no event of this contract")]
    UnknownKind(String),
    #[error("the payload is no {kind}: {problem}")]
    Malformed { kind: String, problem: String },
}

impl EventType {
    /// Reads a message's option; nothing if the message is no event.
    pub fn read(descriptor: &MessageDescriptor) -> Option<Self> {
        let stream = message_option::<Stream>(descriptor.parent_pool(), descriptor, "cairn.options.v1.stream")?;
        Some(Self {
            full_name: descriptor.full_name().to_owned(),
            by: stream.by().collect(),
            category: stream.category,
            lineage: message_option(descriptor.parent_pool(), descriptor, "cairn.options.v1.lineage"),
            kept_max: (stream.kept_max > 0).then_some(stream.kept_max.into()),
            comment: descriptor.comment(),
            descriptor: descriptor.clone(),
        })
    }

    /// Whether a payload holds something that nobody is shown. One that does not read may.
    pub fn hides_something(&self, payload: &[u8]) -> bool {
        let Ok(message) = DynamicMessage::decode(self.descriptor.clone(), payload) else { return true };
        let mut shown = message.clone();
        redact(&mut shown);
        shown != message
    }

    /// A payload for people to read: names as in the contract, sensitive fields hidden.
    pub fn json(&self, payload: &[u8]) -> Result<Value, EventFault> {
        let malformed = |problem: String| EventFault::Malformed { kind: self.full_name.clone(), problem };
        let mut message =
            DynamicMessage::decode(self.descriptor.clone(), payload).map_err(|fault| malformed(fault.to_string()))?;
        redact(&mut message);
        let options = SerializeOptions::new().use_proto_field_name(true);
        message
            .serialize_with_options(serde_json::value::Serializer, &options)
            .map_err(|fault| malformed(fault.to_string()))
    }
}
