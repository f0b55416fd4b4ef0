use bytes::Bytes;
use cairn_contract::cairn::config::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, malformed, read};
use crate::model::secret::{Change, Event, Secret, Value};
use crate::model::{SecretName, Text};

kinds! {
    CREATED = SecretCreated;
    DESCRIBED = SecretDescribed;
    ADDED = SecretVersionAdded;
    DISABLED = SecretVersionDisabled;
    ENABLED = SecretVersionEnabled;
    DESTROYED = SecretVersionDestroyed;
    DELETED = SecretDeleted;
}

impl Stored for Secret {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let secret = event.secret.to_string();
        let (kind, bytes) = match &event.change {
            Change::Created(description) => {
                let description = description.to_string();
                (CREATED, proto::SecretCreated { secret, description }.encode_to_vec())
            }
            Change::Described(description) => {
                let description = description.to_string();
                (DESCRIBED, proto::SecretDescribed { secret, description }.encode_to_vec())
            }
            Change::Added(version, value) => {
                let sealed = Bytes::copy_from_slice(&value.0);
                (ADDED, proto::SecretVersionAdded { secret, version: *version, sealed }.encode_to_vec())
            }
            Change::Disabled(version) => {
                (DISABLED, proto::SecretVersionDisabled { secret, version: *version }.encode_to_vec())
            }
            Change::Enabled(version) => {
                (ENABLED, proto::SecretVersionEnabled { secret, version: *version }.encode_to_vec())
            }
            Change::Destroyed(version, reason) => {
                let reason = reason.to_string();
                (DESTROYED, proto::SecretVersionDestroyed { secret, version: *version, reason }.encode_to_vec())
            }
            Change::Deleted => (DELETED, proto::SecretDeleted { secret }.encode_to_vec()),
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (secret, change) = match kind {
            CREATED => {
                let proto::SecretCreated { secret, description } = read(payload)?;
                (secret, Change::Created(Text::stored(description)))
            }
            DESCRIBED => {
                let proto::SecretDescribed { secret, description } = read(payload)?;
                (secret, Change::Described(Text::stored(description)))
            }
            ADDED => {
                let proto::SecretVersionAdded { secret, version, sealed } = read(payload)?;
                (secret, Change::Added(version, Value(sealed.to_vec().into())))
            }
            DISABLED => {
                let proto::SecretVersionDisabled { secret, version } = read(payload)?;
                (secret, Change::Disabled(version))
            }
            ENABLED => {
                let proto::SecretVersionEnabled { secret, version } = read(payload)?;
                (secret, Change::Enabled(version))
            }
            DESTROYED => {
                let proto::SecretVersionDestroyed { secret, version, reason } = read(payload)?;
                (secret, Change::Destroyed(version, Text::stored(reason)))
            }
            DELETED => (read::<proto::SecretDeleted>(payload)?.secret, Change::Deleted),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        // Without its name the event would mean something else.
        let secret: SecretName = secret.parse().map_err(|fault| malformed(kind, fault))?;
        Ok(Event { secret, change })
    }

    /// Values are in the log, and not in the state.
    fn weight(&self) -> Option<usize> {
        Some(2_048 + self.next() as usize)
    }
}
