use zeroize::Zeroizing;

use super::Wrapped;
use crate::data_key::KEY_BYTES;
use crate::xaes::{self, NONCE_BYTES};
use crate::{DataKey, KeeperFault};

/// Key-encryption keys that this process holds itself, the newest first.
///
/// INVARIANT: there is one at least.
pub(super) struct LocalKeys(Vec<LocalKey>);

pub(super) struct LocalKey {
    /// Derived from the key, so that a wrong key is told from a damaged one.
    pub id: String,
    pub key: DataKey,
}

impl LocalKey {
    pub fn new(key: DataKey) -> Self {
        Self { id: hex::encode(&key.check()[..8]), key }
    }
}

impl LocalKeys {
    /// `None`: there are none.
    pub fn new(keys: Vec<LocalKey>) -> Option<Self> {
        (!keys.is_empty()).then_some(Self(keys))
    }

    pub fn newest(&self) -> &LocalKey {
        &self.0[0]
    }

    pub fn ids(&self) -> Vec<String> {
        self.0.iter().map(|key| key.id.clone()).collect()
    }

    pub fn wrap(&self, key: &DataKey, context: &[u8]) -> Wrapped {
        let LocalKey { id, key: outer } = self.newest();
        let mut bytes = Vec::with_capacity(2 * KEY_BYTES);
        bytes.extend_from_slice(key.expose());
        let nonce = xaes::seal(outer.expose(), context, &mut bytes).expect("a key of this length can be encrypted");
        Wrapped { by: id.clone(), bytes: [&nonce[..], &bytes].concat() }
    }

    /// `None`: the key that it was wrapped with is not here.
    pub fn unwrap(&self, wrapped: &Wrapped, context: &[u8]) -> Option<Result<DataKey, KeeperFault>> {
        let outer = self.0.iter().find(|key| key.id == wrapped.by)?;
        let opened = || {
            let (nonce, ciphertext) = wrapped.bytes.split_at_checked(NONCE_BYTES)?;
            let mut bytes = Zeroizing::new(ciphertext.to_vec());
            let key = xaes::open(outer.key.expose(), nonce.try_into().ok()?, context, &mut bytes).ok()?;
            DataKey::from_bytes(key)
        };
        Some(opened().ok_or(KeeperFault::Foreign))
    }
}
