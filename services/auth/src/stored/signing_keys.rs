use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, read};
use crate::model::signing_keys::Event;
use crate::model::{SigningKeys, Text};

kinds! {
    ROTATED = SigningKeysRotated;
}

impl Stored for SigningKeys {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let message = proto::SigningKeysRotated {
            current: event.current.clone(),
            next: event.next.clone(),
            previous: event.previous.clone(),
            reason: event.reason.as_str().to_owned(),
        };
        (ROTATED, message.encode_to_vec().into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        if kind != ROTATED {
            return Err(DecodeFault::UnknownKind(kind.to_owned()));
        }
        let proto::SigningKeysRotated { current, next, previous, reason } = read(payload)?;
        Ok(Event { current, next, previous, reason: Text::stored(reason) })
    }
}
