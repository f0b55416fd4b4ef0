use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, read};
use crate::model::identity::Event;
use crate::model::{Identity, IdentityProviderName, UserName};

kinds! {
    LINKED = IdentityLinked;
}

impl Stored for Identity {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let message = proto::IdentityLinked {
            identity: event.identity.clone(),
            user: event.user.to_string(),
            identity_provider: event.identity_provider.to_string(),
        };
        (LINKED, message.encode_to_vec().into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        if kind != LINKED {
            return Err(DecodeFault::UnknownKind(kind.to_owned()));
        }
        let proto::IdentityLinked { identity, user, identity_provider } = read(payload)?;
        let identity_provider = IdentityProviderName::stored(identity_provider);
        Ok(Event { identity, user: UserName::stored(user), identity_provider })
    }
}
