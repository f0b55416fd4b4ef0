use std::fmt;

use aws_lc_rs::rand;

use crate::data_key::CHECK_BYTES;
use crate::xaes::NONCE_BYTES;

/// Names how sealed bytes are laid out. Another layout is another number.
pub(crate) const FORMAT: u8 = 1;
const ID_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + ID_BYTES + CHECK_BYTES + NONCE_BYTES;

/// Names a data key. Public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId([u8; ID_BYTES]);

impl KeyId {
    pub(crate) fn fresh() -> Self {
        let mut id = [0; ID_BYTES];
        rand::fill(&mut id).expect("the system gives random bytes");
        Self(id)
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Sealed bytes: format, key, check value of the key, nonce, ciphertext and tag. They may lie anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    pub(crate) fn compose(key: &KeyId, check: &[u8], nonce: &[u8], ciphertext: &[u8]) -> Self {
        Self([&[FORMAT], key.as_bytes(), check, nonce, ciphertext].concat())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The key that opens them.
    pub fn key(&self) -> KeyId {
        KeyId::read(&self.0[1..1 + ID_BYTES]).expect("sealed bytes name their key")
    }
}

/// Sealed bytes, taken apart.
pub(crate) struct Parts<'a> {
    pub key: KeyId,
    pub check: &'a [u8],
    pub nonce: [u8; NONCE_BYTES],
    pub ciphertext: &'a [u8],
}

impl<'a> Parts<'a> {
    /// `None`: these are no sealed bytes, or of a format that is not known here.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let (head, ciphertext) = bytes.split_at_checked(HEAD_BYTES)?;
        if head[0] != FORMAT || ciphertext.len() < TAG_BYTES {
            return None;
        }
        let (key, rest) = head[1..].split_at(ID_BYTES);
        let (check, nonce) = rest.split_at(CHECK_BYTES);
        Some(Self { key: KeyId::read(key)?, check, nonce: nonce.try_into().ok()?, ciphertext })
    }
}
