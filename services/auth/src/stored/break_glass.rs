use cairn_service::timestamp;
use std::time::Duration;

use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, name, read, time};
use crate::model::break_glass::{Change, Event, Request};
use crate::model::{ActivationName, BreakGlass, Text, UserName};

kinds! {
    REQUESTED = BreakGlassRequested;
    ACTIVATED = BreakGlassActivated;
    ENDED = BreakGlassEnded;
    REVIEWED = BreakGlassReviewed;
}

impl Stored for BreakGlass {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let activation = event.activation.to_string();
        let (kind, bytes) = match &event.change {
            Change::Requested(request) => (REQUESTED, requested(activation, request).encode_to_vec()),
            Change::Activated { approver, expire_time, review_due_time } => {
                let approver = approver.as_ref().map(ToString::to_string).unwrap_or_default();
                let (expire_time, review_due_time) = (Some(timestamp(*expire_time)), Some(timestamp(*review_due_time)));
                let message = proto::BreakGlassActivated { activation, approver, expire_time, review_due_time };
                (ACTIVATED, message.encode_to_vec())
            }
            Change::Ended { reason } => {
                (ENDED, proto::BreakGlassEnded { activation, reason: reason.as_str().to_owned() }.encode_to_vec())
            }
            Change::Reviewed { review } => {
                (REVIEWED, proto::BreakGlassReviewed { activation, review: review.as_str().to_owned() }.encode_to_vec())
            }
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (activation, change) = match kind {
            REQUESTED => {
                let event: proto::BreakGlassRequested = read(payload)?;
                let request = Request {
                    principal: UserName::stored(event.principal),
                    resource: name(kind, &event.resource)?,
                    reason: Text::stored(event.reason),
                    ticket: Text::stored(event.ticket),
                    life: event.duration.and_then(|life| Duration::try_from(life).ok()).unwrap_or_default(),
                    activate_time: time(event.activate_time.unwrap_or_default()),
                };
                (event.activation, Change::Requested(request))
            }
            ACTIVATED => {
                let event: proto::BreakGlassActivated = read(payload)?;
                let change = Change::Activated {
                    approver: (!event.approver.is_empty()).then(|| UserName::stored(event.approver)),
                    expire_time: time(event.expire_time.unwrap_or_default()),
                    review_due_time: time(event.review_due_time.unwrap_or_default()),
                };
                (event.activation, change)
            }
            ENDED => {
                let proto::BreakGlassEnded { activation, reason } = read(payload)?;
                (activation, Change::Ended { reason: Text::stored(reason) })
            }
            REVIEWED => {
                let proto::BreakGlassReviewed { activation, review } = read(payload)?;
                (activation, Change::Reviewed { review: Text::stored(review) })
            }
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { activation: ActivationName::stored(activation), change })
    }
}

fn requested(activation: String, request: &Request) -> proto::BreakGlassRequested {
    proto::BreakGlassRequested {
        activation,
        principal: request.principal.to_string(),
        resource: request.resource.to_string(),
        reason: request.reason.as_str().to_owned(),
        ticket: request.ticket.as_str().to_owned(),
        duration: prost_types::Duration::try_from(request.life).ok(),
        activate_time: Some(timestamp(request.activate_time)),
    }
}
