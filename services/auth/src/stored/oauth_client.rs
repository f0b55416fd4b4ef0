use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, read};
use crate::model::oauth_client::{Change, Event, Terms};
use crate::model::{OauthClient, OauthClientName, Text};

kinds! {
    CREATED = OauthClientCreated;
    DELETED = OauthClientDeleted;
}

impl Stored for OauthClient {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let oauth_client = event.oauth_client.to_string();
        let (kind, bytes) = match &event.change {
            Change::Created(terms) => {
                let message = proto::OauthClientCreated {
                    oauth_client,
                    title: terms.title.as_str().to_owned(),
                    redirect_uris: terms.redirect_uris.clone(),
                    service_account: terms.service_account.clone(),
                };
                (CREATED, message.encode_to_vec())
            }
            Change::Deleted => (DELETED, proto::OauthClientDeleted { oauth_client }.encode_to_vec()),
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (oauth_client, change) = match kind {
            CREATED => {
                let proto::OauthClientCreated { oauth_client, title, redirect_uris, service_account } = read(payload)?;
                let terms = Terms { title: Text::stored(title), redirect_uris, service_account };
                (oauth_client, Change::Created(terms))
            }
            DELETED => (read::<proto::OauthClientDeleted>(payload)?.oauth_client, Change::Deleted),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { oauth_client: OauthClientName::stored(oauth_client), change })
    }
}
