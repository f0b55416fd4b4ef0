use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Hash;
use crate::note::Signature;

/// What a key signs, and so how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The log's own signature: over the text of the note.
    Log,
    /// A witness's, with the time it saw the checkpoint (C2SP tlog-cosignature).
    Cosignature,
}

/// Whose key it is: like an address without its scheme, `example.com/log`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// A key that signatures are verified with.
///
/// Printed as others' tools read it: name, id and key, joined by plus signs.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    pub name: KeyName,
    pub kind: Kind,
    public: [u8; 32],
}

/// A key that signs. Its secret is never printed.
pub struct SigningKey {
    verifying: VerifyingKey,
    pair: Arc<Ed25519KeyPair>,
}

/// Why a text is no key or no name of one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("{0:?} is no name of a key: it is empty, or has a space or a plus sign")]
    Name(String),
    #[error("not a verifying key of the form name+id+key: {0}")]
    Malformed(&'static str),
    #[error("the key's id is {found}, and {expected} follows from its name and contents: one of them was changed")]
    Id { found: String, expected: String },
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

impl FromStr for KeyName {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        let is_name = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+');
        is_name.then(|| Self(text.to_owned())).ok_or_else(|| KeyFault::Name(text.chars().take(80).collect()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl VerifyingKey {
    /// Tells keys of one name apart. Says nothing about who may use it.
    pub fn id(&self) -> [u8; 4] {
        let mut named = self.name.0.clone().into_bytes();
        named.extend([b'\n', self.kind.byte()]);
        named.extend(self.public);
        let hash = Hash::of(&named);
        [hash.0[0], hash.0[1], hash.0[2], hash.0[3]]
    }

    /// Whether this key made the signature over the text. For a witness's: also when it did.
    pub(crate) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.public);
        match self.kind {
            Kind::Log => key.verify(text.as_bytes(), signature).is_ok(),
            Kind::Cosignature => signature.split_first_chunk::<8>().is_some_and(|(time, signature)| {
                key.verify(cosigned(u64::from_be_bytes(*time), text).as_bytes(), signature).is_ok()
            }),
        }
    }
}

/// What a witness signs.
fn cosigned(unix_seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {unix_seconds}\n{text}")
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.kind.byte()];
        key.extend(self.public);
        write!(f, "{}+{}+{}", self.name, hex(self.id()), STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        // The key itself may have plus signs, its name none.
        let mut parts = text.trim().splitn(3, '+');
        let mut next = || parts.next().ok_or(KeyFault::Malformed("there are not three parts"));
        let (name, id, key) = (next()?.parse()?, next()?, next()?);
        let key = STANDARD.decode(key).map_err(|_| KeyFault::Malformed("the key is not base64"))?;
        let kind = match key.first() {
            Some(0x01) => Kind::Log,
            Some(0x04) => Kind::Cosignature,
            _ => return Err(KeyFault::Malformed("only Ed25519 keys of logs (1) and witnesses (4) are known")),
        };
        let public = key[1..].try_into().map_err(|_| KeyFault::Malformed("the key has not 32 bytes"))?;
        let key = Self { name, kind, public };
        let expected = hex(key.id());
        if id != expected {
            return Err(KeyFault::Id { found: id.chars().take(16).collect(), expected });
        }
        Ok(key)
    }
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

impl SigningKey {
    /// A new key's secret, from randomness.
    pub fn new_seed() -> [u8; 32] {
        let mut seed = [0; 32];
        rand::fill(&mut seed).expect("the system gives randomness");
        seed
    }

    pub fn from_seed(name: KeyName, kind: Kind, seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed");
        let public = pair.public_key().as_ref().try_into().expect("a public key has 32 bytes");
        Self { verifying: VerifyingKey { name, kind, public }, pair: Arc::new(pair) }
    }

    /// The same secret under another name: what it signs is told apart from what it signs under its own.
    pub fn named(&self, name: KeyName) -> Self {
        Self { verifying: VerifyingKey { name, ..self.verifying.clone() }, pair: Arc::clone(&self.pair) }
    }

    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Signs the text of a note. `unix_seconds`: when, which only a witness says.
    pub fn sign(&self, text: &str, unix_seconds: u64) -> Signature {
        let bytes = match self.verifying.kind {
            Kind::Log => self.pair.sign(text.as_bytes()).as_ref().to_vec(),
            Kind::Cosignature => {
                let signature = self.pair.sign(cosigned(unix_seconds, text).as_bytes());
                [&unix_seconds.to_be_bytes()[..], signature.as_ref()].concat()
            }
        };
        Signature { name: self.verifying.name.clone(), id: self.verifying.id(), bytes }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifying)
    }
}
