use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A node of the tree, hashed as RFC 6962 says (section 2.1): leaves and inner nodes begin with different bytes, so that
/// neither can be passed off as the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

const LEAF: u8 = 0x00;
const NODE: u8 = 0x01;

impl Hash {
    /// Of an entry.
    pub fn leaf(entry: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&[LEAF]);
        context.update(entry);
        Self::finished(context)
    }

    /// Of two subtrees.
    pub fn node(left: Self, right: Self) -> Self {
        let mut bytes = [NODE; 65];
        bytes[1..33].copy_from_slice(&left.0);
        bytes[33..].copy_from_slice(&right.0);
        Self::of(&bytes)
    }

    /// The root of a tree without entries.
    pub fn empty() -> Self {
        Self::of(&[])
    }

    /// Plain SHA-256.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::read(digest(&SHA256, bytes).as_ref()).expect("SHA-256 has 32 bytes")
    }

    fn finished(context: Context) -> Self {
        Self::read(context.finish().as_ref()).expect("SHA-256 has 32 bytes")
    }

    /// 32 bytes as they are.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// Why a text is no hash.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the base64 of 32 bytes: {0:?}")]
pub struct HashFault(String);

/// As in checkpoints and proofs: base64.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashFault;

    fn from_str(text: &str) -> Result<Self, HashFault> {
        let bytes = STANDARD.decode(text).ok();
        bytes.and_then(|bytes| Self::read(&bytes)).ok_or_else(|| HashFault(text.chars().take(64).collect()))
    }
}
