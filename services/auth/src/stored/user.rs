use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, read};
use crate::model::user::{Change, Event};
use crate::model::{Text, User, UserName};

kinds! {
    CREATED = UserCreated;
    DESCRIBED = UserDescribed;
    DISABLED = UserDisabled;
    ENABLED = UserEnabled;
    DELETED = UserDeleted;
    ERASED = UserErased;
}

impl Stored for User {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let user = event.user.to_string();
        let (kind, bytes) = match &event.change {
            Change::Created => (CREATED, proto::UserCreated { user }.encode_to_vec()),
            Change::Described { fields } => {
                (DESCRIBED, proto::UserDescribed { user, fields: fields.clone() }.encode_to_vec())
            }
            Change::Disabled { reason } => {
                (DISABLED, proto::UserDisabled { user, reason: reason.as_str().to_owned() }.encode_to_vec())
            }
            Change::Enabled => (ENABLED, proto::UserEnabled { user }.encode_to_vec()),
            Change::Deleted => (DELETED, proto::UserDeleted { user }.encode_to_vec()),
            Change::Erased { reason } => {
                (ERASED, proto::UserErased { user, reason: reason.as_str().to_owned() }.encode_to_vec())
            }
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (user, change) = match kind {
            CREATED => (read::<proto::UserCreated>(payload)?.user, Change::Created),
            DESCRIBED => {
                let proto::UserDescribed { user, fields } = read(payload)?;
                (user, Change::Described { fields })
            }
            DISABLED => {
                let proto::UserDisabled { user, reason } = read(payload)?;
                (user, Change::Disabled { reason: Text::stored(reason) })
            }
            ENABLED => (read::<proto::UserEnabled>(payload)?.user, Change::Enabled),
            DELETED => (read::<proto::UserDeleted>(payload)?.user, Change::Deleted),
            ERASED => {
                let proto::UserErased { user, reason } = read(payload)?;
                (user, Change::Erased { reason: Text::stored(reason) })
            }
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { user: UserName::stored(user), change })
    }
}
