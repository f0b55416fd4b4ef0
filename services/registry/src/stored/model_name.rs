use bytes::Bytes;
use cairn_contract::cairn::registry::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, name, read};
use crate::model::NameClaim;
use crate::model::model_name::Event;

kinds! {
    CLAIMED = ModelNameClaimed;
    RELEASED = ModelNameReleased;
}

impl Stored for NameClaim {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        match event.clone() {
            Event::Claimed { model, display_name } => {
                let message = proto::ModelNameClaimed { model: model.to_string(), display_name };
                (CLAIMED, message.encode_to_vec().into())
            }
            Event::Released { model, display_name } => {
                let message = proto::ModelNameReleased { model: model.to_string(), display_name };
                (RELEASED, message.encode_to_vec().into())
            }
        }
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        match kind {
            CLAIMED => {
                let proto::ModelNameClaimed { model, display_name } = read(payload)?;
                Ok(Event::Claimed { model: name(kind, &model)?, display_name })
            }
            RELEASED => {
                let proto::ModelNameReleased { model, display_name } = read(payload)?;
                Ok(Event::Released { model: name(kind, &model)?, display_name })
            }
            _ => Err(DecodeFault::UnknownKind(kind.to_owned())),
        }
    }
}
