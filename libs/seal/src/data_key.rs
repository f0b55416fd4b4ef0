use aws_lc_rs::{hkdf, rand};
use zeroize::Zeroizing;

/// Length of every key here, in bytes.
pub(crate) const KEY_BYTES: usize = 32;
/// Length of a check value, in bytes.
pub(crate) const CHECK_BYTES: usize = 16;

/// A key that messages are sealed with. Wiped when dropped.
pub struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

impl DataKey {
    /// A new one.
    pub fn fresh() -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(&mut *bytes).expect("the system gives random bytes");
        Self(bytes)
    }

    /// From the bytes that a keeper unwrapped; `None` if they are no key.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    /// The key itself. Named so that each use is seen.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What tells this key from every other, and tells nothing else of it.
    pub(crate) fn check(&self) -> [u8; CHECK_BYTES] {
        let mut check = [0; CHECK_BYTES];
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(self.expose());
        let derived = key.expand(&[b"cairn-seal check v1"], CheckLength);
        derived.and_then(|derived| derived.fill(&mut check)).expect("the length is one that HKDF gives");
        check
    }
}

struct CheckLength;

impl hkdf::KeyType for CheckLength {
    fn len(&self) -> usize {
        CHECK_BYTES
    }
}
