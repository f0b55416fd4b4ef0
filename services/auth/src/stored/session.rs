use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_contract::cairn::auth::events::v1::session_revoked::Cause as Word;
use cairn_contract::cairn::auth::events::v1::session_started::Kind;
use cairn_eventstore::{DecodeFault, Stored};
use cairn_service::timestamp;
use prost::Message;

use super::{kinds, name, read, time};
use crate::model::session::{Cause, Change, Event, Grounds, Holder};
use crate::model::{PrincipalName, Session, SessionName};

kinds! {
    STARTED = SessionStarted;
    REFRESHED = SessionRefreshed;
    REVOKED = SessionRevoked;
}

impl Stored for Session {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let session = event.session.to_string();
        let (kind, bytes) = match &event.change {
            Change::Started(grounds) => (STARTED, started(session, grounds).encode_to_vec()),
            Change::Refreshed { generation } => {
                (REFRESHED, proto::SessionRefreshed { session, generation: *generation }.encode_to_vec())
            }
            Change::Revoked { cause } => {
                (REVOKED, proto::SessionRevoked { session, cause: word(*cause).into() }.encode_to_vec())
            }
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (session, change) = match kind {
            STARTED => {
                let event: proto::SessionStarted = read(payload)?;
                let scopes: Result<Vec<_>, _> = event.scopes.iter().map(|scope| name(kind, scope)).collect();
                let grounds = Grounds {
                    holder: if event.kind() == Kind::Browser { Holder::Browser } else { Holder::Client },
                    owner: PrincipalName::stored(event.owner),
                    client: event.client,
                    identity_provider: event.identity_provider,
                    provider_session: event.provider_session,
                    api_key: event.api_key,
                    auth_time: time(event.auth_time.unwrap_or_default()),
                    expire_time: time(event.expire_time.unwrap_or_default()),
                    scopes: scopes?,
                };
                (event.session, Change::Started(grounds))
            }
            REFRESHED => {
                let proto::SessionRefreshed { session, generation } = read(payload)?;
                (session, Change::Refreshed { generation })
            }
            REVOKED => {
                let event: proto::SessionRevoked = read(payload)?;
                let cause = cause(event.cause());
                (event.session, Change::Revoked { cause })
            }
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { session: SessionName::stored(session), change })
    }
}

fn started(session: String, grounds: &Grounds) -> proto::SessionStarted {
    let kind = match grounds.holder {
        Holder::Browser => Kind::Browser,
        Holder::Client => Kind::Client,
    };
    proto::SessionStarted {
        session,
        owner: grounds.owner.to_string(),
        kind: kind.into(),
        client: grounds.client.clone(),
        identity_provider: grounds.identity_provider.clone(),
        provider_session: grounds.provider_session.clone(),
        api_key: grounds.api_key.clone(),
        auth_time: Some(timestamp(grounds.auth_time)),
        expire_time: Some(timestamp(grounds.expire_time)),
        scopes: grounds.scopes.iter().map(ToString::to_string).collect(),
    }
}

fn word(cause: Cause) -> Word {
    match cause {
        Cause::Logout => Word::Logout,
        Cause::Revoked => Word::Revoked,
        Cause::Reuse => Word::Reuse,
        Cause::Provider => Word::Provider,
    }
}

fn cause(word: Word) -> Cause {
    match word {
        Word::Logout => Cause::Logout,
        Word::Reuse => Cause::Reuse,
        Word::Provider => Cause::Provider,
        Word::Revoked | Word::Unspecified => Cause::Revoked,
    }
}
