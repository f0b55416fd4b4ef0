use std::sync::Arc;

use bytes::Bytes;
use cairn_contract::cairn::registry::events::v1 as proto;
use cairn_contract::cairn::registry::v1::SigningKey;
use cairn_eventstore::{DecodeFault, Stored};
use cairn_kernel::Revision;
use prost::Message;

use super::{kinds, malformed, name, read};
use crate::model::signing::{Event, TrustedKey};
use crate::model::{CountedSignature, ModelName, Number, PolicyScope, SigningPolicy};

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
                let scope = scope_of(kind, &scope)?;
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

/// Whose policy it is.
fn scope_of(kind: &str, text: &str) -> Result<PolicyScope, DecodeFault> {
    match text.parse::<ModelName>() {
        Ok(model) => Ok(PolicyScope::Model(model)),
        Err(_) => Ok(PolicyScope::Project(name(kind, text)?)),
    }
}

pub(super) fn encode_counted(counted: &CountedSignature) -> proto::CountedSignature {
    proto::CountedSignature {
        version: counted.version.0,
        key_fingerprint: counted.fingerprint.clone(),
        trusted_by: counted.trusted_by.name().to_string(),
        policy_revision: counted.policy_revision.0,
    }
}

pub(super) fn decode_counted(kind: &str, message: proto::CountedSignature) -> Result<CountedSignature, DecodeFault> {
    Ok(CountedSignature {
        version: Number(message.version),
        fingerprint: message.key_fingerprint,
        trusted_by: scope_of(kind, &message.trusted_by)?,
        policy_revision: Revision(message.policy_revision),
    })
}

/// A key in the contract's words.
pub(crate) fn key(trusted: &TrustedKey) -> SigningKey {
    SigningKey {
        name: trusted.name.clone(),
        public_key_pem: trusted.key.pem().to_owned(),
        fingerprint: trusted.key.fingerprint(),
    }
}
