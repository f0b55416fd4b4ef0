use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use cairn_service::timestamp;
use prost::Message;

use super::{kinds, read, time};
use crate::model::device_login::{Approval, Decision, Event};
use crate::model::{DeviceLogin, UserName};

kinds! {
    APPROVED = DeviceLoginApproved;
    REFUSED = DeviceLoginRefused;
}

impl Stored for DeviceLogin {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let login = event.login.clone();
        let (kind, bytes) = match &event.decision {
            Decision::Approved(approval) => {
                let message = proto::DeviceLoginApproved {
                    login,
                    user: approval.user.to_string(),
                    identity_provider: approval.identity_provider.clone(),
                    provider_session: approval.provider_session.clone(),
                    auth_time: Some(timestamp(approval.auth_time)),
                    session: approval.session.clone(),
                };
                (APPROVED, message.encode_to_vec())
            }
            Decision::Refused(user) => {
                (REFUSED, proto::DeviceLoginRefused { login, user: user.to_string() }.encode_to_vec())
            }
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        match kind {
            APPROVED => {
                let message: proto::DeviceLoginApproved = read(payload)?;
                let approval = Approval {
                    user: UserName::stored(message.user),
                    identity_provider: message.identity_provider,
                    provider_session: message.provider_session,
                    auth_time: time(message.auth_time.unwrap_or_default()),
                    session: message.session,
                };
                Ok(Event { login: message.login, decision: Decision::Approved(approval) })
            }
            REFUSED => {
                let proto::DeviceLoginRefused { login, user } = read(payload)?;
                Ok(Event { login, decision: Decision::Refused(UserName::stored(user)) })
            }
            _ => Err(DecodeFault::UnknownKind(kind.to_owned())),
        }
    }
}
