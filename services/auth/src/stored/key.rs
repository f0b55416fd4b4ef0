use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_contract::cairn::auth::events::v1::key_digest::Form;
use cairn_eventstore::{DecodeFault, Stored};
use cairn_service::timestamp;
use prost::Message;

use super::{kinds, malformed, name, read, time};
use crate::model::key::{Change, Digest, Event, Grounds};
use crate::model::{Key, KeyName, PrincipalName, Text};

kinds! {
    CREATED = ApiKeyCreated;
    ROTATED = ApiKeyRotated;
    REVOKED = ApiKeyRevoked;
    BOOTSTRAP_USED = BootstrapKeyUsed;
}

impl Stored for Key {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let key = event.key.to_string();
        let (kind, bytes) = match &event.change {
            Change::Created(grounds) => (CREATED, created(key, grounds).encode_to_vec()),
            Change::Rotated { digest, expire_time, previous_secret_expire_time } => {
                let message = proto::ApiKeyRotated {
                    key,
                    digest: Some(write_digest(digest)),
                    expire_time: expire_time.map(timestamp),
                    previous_secret_expire_time: previous_secret_expire_time.map(timestamp),
                };
                (ROTATED, message.encode_to_vec())
            }
            Change::Revoked { reason } => {
                (REVOKED, proto::ApiKeyRevoked { key, reason: reason.as_str().to_owned() }.encode_to_vec())
            }
            Change::BootstrapUsed => (BOOTSTRAP_USED, proto::BootstrapKeyUsed { key }.encode_to_vec()),
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (key, change) = match kind {
            CREATED => {
                let message: proto::ApiKeyCreated = read(payload)?;
                let scopes: Result<Vec<_>, _> = message.scopes.iter().map(|scope| name(kind, scope)).collect();
                let grounds = Grounds {
                    owner: PrincipalName::stored(message.owner),
                    title: Text::stored(message.title),
                    digest: read_digest(kind, message.digest)?,
                    scopes: scopes?,
                    permissions: message.permissions,
                    expire_time: message.expire_time.map(time),
                    is_bootstrap: message.bootstrap,
                };
                (message.key, Change::Created(grounds))
            }
            ROTATED => {
                let message: proto::ApiKeyRotated = read(payload)?;
                let change = Change::Rotated {
                    digest: read_digest(kind, message.digest)?,
                    expire_time: message.expire_time.map(time),
                    previous_secret_expire_time: message.previous_secret_expire_time.map(time),
                };
                (message.key, change)
            }
            REVOKED => {
                let proto::ApiKeyRevoked { key, reason } = read(payload)?;
                (key, Change::Revoked { reason: Text::stored(reason) })
            }
            BOOTSTRAP_USED => (read::<proto::BootstrapKeyUsed>(payload)?.key, Change::BootstrapUsed),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { key: KeyName::stored(key), change })
    }
}

fn created(key: String, grounds: &Grounds) -> proto::ApiKeyCreated {
    proto::ApiKeyCreated {
        key,
        owner: grounds.owner.to_string(),
        title: grounds.title.as_str().to_owned(),
        digest: Some(write_digest(&grounds.digest)),
        scopes: grounds.scopes.iter().map(ToString::to_string).collect(),
        permissions: grounds.permissions.clone(),
        expire_time: grounds.expire_time.map(timestamp),
        bootstrap: grounds.is_bootstrap,
    }
}

fn write_digest(digest: &Digest) -> proto::KeyDigest {
    let form = if digest.is_opaque { Form::Opaque } else { Form::Structured };
    proto::KeyDigest { form: form.into(), digest: digest.bytes.clone().into(), pepper: digest.pepper.clone() }
}

fn read_digest(kind: &str, digest: Option<proto::KeyDigest>) -> Result<Digest, DecodeFault> {
    let digest = digest.ok_or_else(|| malformed(kind, "it has no digest"))?;
    let is_opaque = digest.form() == Form::Opaque;
    Ok(Digest { is_opaque, bytes: digest.digest.to_vec(), pepper: digest.pepper })
}
