use bytes::Bytes;
use cairn_contract::cairn::experiments::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, name, read};
use crate::model::NameClaim;
use crate::model::experiment_name::Event;

kinds! {
    CLAIMED = ExperimentNameClaimed;
    RELEASED = ExperimentNameReleased;
}

impl Stored for NameClaim {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        match event {
            Event::Claimed { experiment, display_name } => {
                let message = proto::ExperimentNameClaimed {
                    experiment: experiment.to_string(),
                    display_name: display_name.clone(),
                };
                (CLAIMED, message.encode_to_vec().into())
            }
            Event::Released { experiment, display_name } => {
                let message = proto::ExperimentNameReleased {
                    experiment: experiment.to_string(),
                    display_name: display_name.clone(),
                };
                (RELEASED, message.encode_to_vec().into())
            }
        }
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        match kind {
            CLAIMED => {
                let message: proto::ExperimentNameClaimed = read(payload)?;
                let experiment = name(kind, &message.experiment)?;
                Ok(Event::Claimed { experiment, display_name: message.display_name })
            }
            RELEASED => {
                let message: proto::ExperimentNameReleased = read(payload)?;
                let experiment = name(kind, &message.experiment)?;
                Ok(Event::Released { experiment, display_name: message.display_name })
            }
            _ => Err(DecodeFault::UnknownKind(kind.to_owned())),
        }
    }
}
