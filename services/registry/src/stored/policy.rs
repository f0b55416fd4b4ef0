use std::sync::Arc;

use bytes::Bytes;
use cairn_contract::cairn::registry::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, name, read, terms};
use crate::model::DefaultPolicy;
use crate::model::policy::Event;

kinds! {
    SET = DefaultPolicySet;
}

impl Stored for DefaultPolicy {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let message = proto::DefaultPolicySet {
            project: event.project.to_string(),
            terms: Some(terms::encode(&event.terms)),
            relaxed: event.is_relaxed,
        };
        (SET, message.encode_to_vec().into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        match kind {
            SET => {
                let proto::DefaultPolicySet { project, terms: set, relaxed } = read(payload)?;
                let terms = Arc::new(terms::decode(set.unwrap_or_default()));
                Ok(Event { project: name(kind, &project)?, terms, is_relaxed: relaxed })
            }
            _ => Err(DecodeFault::UnknownKind(kind.to_owned())),
        }
    }
}
