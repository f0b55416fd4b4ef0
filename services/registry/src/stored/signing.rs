use std::sync::Arc;

use bytes::Bytes;
use cairn_contract::cairn::registry::events::v1 as proto;
use cairn_contract::cairn::registry::v1::SigningKey;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, malformed, name, read};
use crate::model::signing::{Event, TrustedKey};
use crate::model::{ModelName, PolicyScope, SigningPolicy};

kinds! {
    SET = SigningPolicySet;
}

impl Stored for SigningPolicy {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let message = proto::SigningPolicySet {
            scope: event.scope.name().to_string(),
            keys: event.keys.iter().map(key).collect(),
            required: event.is_required,
        };
        (SET, message.encode_to_vec().into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        match kind {
            SET => {
                let proto::SigningPolicySet { scope, keys, required } = read(payload)?;
                let scope = match scope.parse::<ModelName>() {
                    Ok(model) => PolicyScope::Model(model),
                    Err(_) => PolicyScope::Project(name(kind, &scope)?),
                };
                let trusted = |key: SigningKey| {
                    let public = key.public_key_pem.parse().map_err(|fault| malformed(kind, fault))?;
                    Ok(TrustedKey { name: key.name, key: public })
                };
                let keys = keys.into_iter().map(trusted).collect::<Result<_, DecodeFault>>()?;
                Ok(Event { scope, keys: Arc::new(keys), is_required: required })
            }
            _ => Err(DecodeFault::UnknownKind(kind.to_owned())),
        }
    }
}

/// A key in the contract's words.
pub(crate) fn key(trusted: &TrustedKey) -> SigningKey {
    SigningKey {
        name: trusted.name.clone(),
        public_key_pem: trusted.key.pem().to_owned(),
        fingerprint: trusted.key.fingerprint(),
    }
}
