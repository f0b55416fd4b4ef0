use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, name, read, time, timestamp};
use crate::model::binding::{Change, Event, Terms};
use crate::model::{Binding, BindingName, PrincipalName, RoleName, Text};

kinds! {
    GRANTED = RoleGranted;
    WITHDRAWN = RoleWithdrawn;
}

impl Stored for Binding {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let binding = event.binding.to_string();
        let (kind, bytes) = match &event.change {
            Change::Granted { terms, reason } => {
                let message = proto::RoleGranted {
                    binding,
                    principal: terms.principal.to_string(),
                    role: terms.role.to_string(),
                    resource: terms.resource.to_string(),
                    expire_time: terms.expire_time.map(timestamp),
                    reason: reason.as_str().to_owned(),
                };
                (GRANTED, message.encode_to_vec())
            }
            Change::Withdrawn { terms, reason } => {
                let message = proto::RoleWithdrawn {
                    binding,
                    principal: terms.principal.to_string(),
                    role: terms.role.to_string(),
                    resource: terms.resource.to_string(),
                    reason: reason.as_str().to_owned(),
                };
                (WITHDRAWN, message.encode_to_vec())
            }
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let terms = |principal: String, role: String, resource: &str, expire_time: Option<prost_types::Timestamp>| {
            Ok::<_, DecodeFault>(Terms {
                principal: PrincipalName::stored(principal),
                role: RoleName::stored(role),
                resource: name(kind, resource)?,
                expire_time: expire_time.map(time),
            })
        };
        let (binding, change) = match kind {
            GRANTED => {
                let proto::RoleGranted { binding, principal, role, resource, expire_time, reason } = read(payload)?;
                let terms = terms(principal, role, &resource, expire_time)?;
                (binding, Change::Granted { terms, reason: Text::stored(reason) })
            }
            WITHDRAWN => {
                let proto::RoleWithdrawn { binding, principal, role, resource, reason } = read(payload)?;
                let terms = terms(principal, role, &resource, None)?;
                (binding, Change::Withdrawn { terms, reason: Text::stored(reason) })
            }
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { binding: BindingName::stored(binding), change })
    }
}
