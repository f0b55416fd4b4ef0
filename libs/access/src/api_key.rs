use std::fmt;
use std::str::FromStr;

use crate::keyring::random;

/// What sort of owner a key belongs to; shown in its text so that a leaked one tells where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A user's own.
    Personal,
    /// A service account's.
    ServiceAccount,
    /// Made at first start.
    Bootstrap,
}

/// An API key: `cairn_<kind>_<id>_<secret><check>`.
///
/// The id is public: the lookup key, and safe in logs. The prefix and the checksum let scanners find leaked keys without
/// asking us, and let us refuse a mistyped one without looking it up. Underscores, so that a double click selects all.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    kind: KeyKind,
    id: String,
    secret: String,
}

/// A text is no key of ours, or was changed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is not an API key")]
pub struct NotAnApiKey;

const ID_LEN: usize = 12;
const SECRET_LEN: usize = 43;
const CHECK_LEN: usize = 6;
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl KeyKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "pat",
            Self::ServiceAccount => "sa",
            Self::Bootstrap => "boot",
        }
    }
}

impl ApiKey {
    /// A fresh key under an id.
    pub fn generate(kind: KeyKind, id: &str) -> Self {
        Self { kind, id: id.to_owned(), secret: base62::<SECRET_LEN>(&random::<32>()) }
    }

    /// A fresh id.
    pub fn fresh_id() -> String {
        Self::id_from(random())
    }

    /// The id that these bytes make: for ids that a repeated request must make again.
    pub fn id_from(bytes: [u8; ID_LEN]) -> String {
        bytes.iter().map(|byte| char::from(BASE32[usize::from(byte % 32)])).collect()
    }

    /// Its public id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What nobody else may see.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The whole text: shown once.
    pub fn reveal(&self) -> String {
        let text = format!("cairn_{}_{}_{}", self.kind.as_str(), self.id, self.secret);
        let check = check(&text);
        text + &check
    }
}

/// Never shows the secret.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cairn_{}_{}_…", self.kind.as_str(), self.id)
    }
}

impl FromStr for ApiKey {
    type Err = NotAnApiKey;

    fn from_str(text: &str) -> Result<Self, NotAnApiKey> {
        let parts: Vec<&str> = text.split('_').collect();
        let &["cairn", kind, id, rest] = parts.as_slice() else { return Err(NotAnApiKey) };
        let kind = match kind {
            "pat" => KeyKind::Personal,
            "sa" => KeyKind::ServiceAccount,
            "boot" => KeyKind::Bootstrap,
            _ => return Err(NotAnApiKey),
        };
        let is_well_formed = id.len() == ID_LEN
            && id.bytes().all(|byte| BASE32.contains(&byte))
            && rest.len() == SECRET_LEN + CHECK_LEN
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_well_formed || check(&text[..text.len() - CHECK_LEN]) != text[text.len() - CHECK_LEN..] {
            return Err(NotAnApiKey);
        }
        Ok(Self { kind, id: id.to_owned(), secret: rest[..SECRET_LEN].to_owned() })
    }
}

/// CRC-32 of everything before it. Guards against typos, not against anybody.
fn check(text: &str) -> String {
    base62::<CHECK_LEN>(&crc32fast::hash(text.as_bytes()).to_be_bytes())
}

/// A big-endian number in `N` digits of base 62. 43 digits hold 32 bytes, 6 hold 4.
fn base62<const N: usize>(bytes: &[u8]) -> String {
    let mut number = bytes.to_vec();
    let mut digits = [0; N];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0;
        for byte in &mut number {
            let value = rest * 256 + usize::from(*byte);
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        *digit = BASE62[rest];
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_reads_as_what_it_was_written_from() {
        for kind in [KeyKind::Personal, KeyKind::ServiceAccount, KeyKind::Bootstrap] {
            let key = ApiKey::generate(kind, &ApiKey::fresh_id());
            let text = key.reveal();
            assert_eq!(text.len(), "cairn__".len() + kind.as_str().len() + ID_LEN + 1 + SECRET_LEN + CHECK_LEN);
            assert_eq!(text.parse::<ApiKey>().as_ref(), Ok(&key));
            assert!(!format!("{key:?}").contains(key.secret()));
        }
    }

    #[test]
    fn base_62_counts_as_anybody_would() {
        assert_eq!(base62::<3>(&[0]), "000");
        assert_eq!(base62::<3>(&[61]), "00z");
        assert_eq!(base62::<3>(&[0, 62]), "010");
        assert_eq!(base62::<6>(&[0xff; 4]), "4gfFC3");
        assert_eq!(base62::<43>(&[0xff; 32]).len(), 43);
        assert_ne!(base62::<43>(&[0xff; 32]).as_bytes()[0], b'0', "43 digits are needed and enough");
    }

    proptest! {
        #[test]
        fn a_key_with_one_character_changed_is_refused_without_a_lookup(at in 0_usize..78, to in 0_usize..62) {
            let text = ApiKey::generate(KeyKind::Personal, "abcdefghijkl").reveal();
            let mut changed = text.clone().into_bytes();
            let at = at % changed.len();
            prop_assume!(changed[at] != BASE62[to]);
            changed[at] = BASE62[to];
            prop_assert_eq!(String::from_utf8(changed).unwrap().parse::<ApiKey>(), Err(NotAnApiKey));
        }

        #[test]
        fn no_text_is_too_strange_to_refuse(text in "\\PC{0,120}") {
            prop_assert_eq!(text.parse::<ApiKey>(), Err(NotAnApiKey));
        }
    }
}
