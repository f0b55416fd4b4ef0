use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, read};
use crate::model::role::{Change, Event};
use crate::model::{Role, RoleName, Text};

kinds! {
    CREATED = RoleCreated;
    REDEFINED = RoleRedefined;
    DELETED = RoleDeleted;
}

impl Stored for Role {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let role = event.role.to_string();
        let (kind, bytes) = match &event.change {
            Change::Created { description, permissions } => {
                let (description, permissions) =
                    (description.as_str().to_owned(), permissions.iter().cloned().collect());
                (CREATED, proto::RoleCreated { role, description, permissions }.encode_to_vec())
            }
            Change::Redefined { description, permissions } => {
                let (description, permissions) =
                    (description.as_str().to_owned(), permissions.iter().cloned().collect());
                (REDEFINED, proto::RoleRedefined { role, description, permissions }.encode_to_vec())
            }
            Change::Deleted => (DELETED, proto::RoleDeleted { role }.encode_to_vec()),
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (role, change) = match kind {
            CREATED => {
                let proto::RoleCreated { role, description, permissions } = read(payload)?;
                let (description, permissions) = (Text::stored(description), permissions.into_iter().collect());
                (role, Change::Created { description, permissions })
            }
            REDEFINED => {
                let proto::RoleRedefined { role, description, permissions } = read(payload)?;
                let (description, permissions) = (Text::stored(description), permissions.into_iter().collect());
                (role, Change::Redefined { description, permissions })
            }
            DELETED => (read::<proto::RoleDeleted>(payload)?.role, Change::Deleted),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { role: RoleName::stored(role), change })
    }
}
