use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// Most keys of one provider that are looked at.
const KEYS_MAX: usize = 100;
/// Shortest modulus of an RSA key, as base64url writes 2048 bits.
const RSA_CHARS_MIN: usize = 342;

/// The keys that a provider signs with.
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

/// A key, and the one algorithm that it is used with. Never the other way round: a token does not choose.
#[derive(Clone)]
pub struct Key {
    pub kid: Option<String>,
    pub algorithm: Algorithm,
    pub decoding: DecodingKey,
}

/// A key as its set has it (RFC 7517).
#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    /// Reads a set of keys. What is not understood, or is too weak, is passed over: nothing signed with it holds.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let set: JwkSet = serde_json::from_slice(bytes).map_err(|fault| fault.to_string())?;
        let known = set.keys.into_iter().take(KEYS_MAX).filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        Ok(Self(known.filter_map(|key| Key::read(&key)).collect()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The key with a name; without a name, the only one there is for the algorithm.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        match kid {
            Some(kid) => self.0.iter().find(|key| key.kid.as_deref() == Some(kid)),
            None => {
                let mut fitting = self.0.iter().filter(|key| key.algorithm == algorithm);
                fitting.next().filter(|_| fitting.next().is_none())
            }
        }
    }
}

impl Key {
    fn read(jwk: &Jwk) -> Option<Self> {
        if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let said = jwk.alg.as_deref();
        let (algorithm, decoding) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let n = jwk.n.as_deref().filter(|n| n.len() >= RSA_CHARS_MIN)?;
                let algorithm = match said {
                    None | Some("RS256") => Algorithm::RS256,
                    Some("RS384") => Algorithm::RS384,
                    Some("RS512") => Algorithm::RS512,
                    Some("PS256") => Algorithm::PS256,
                    Some("PS384") => Algorithm::PS384,
                    Some("PS512") => Algorithm::PS512,
                    _ => return None,
                };
                (algorithm, DecodingKey::from_rsa_components(n, jwk.e.as_deref()?).ok()?)
            }
            ("EC", Some("P-256")) if matches!(said, None | Some("ES256")) => (Algorithm::ES256, jwk.point()?),
            ("EC", Some("P-384")) if matches!(said, None | Some("ES384")) => (Algorithm::ES384, jwk.point()?),
            ("OKP", Some("Ed25519")) if matches!(said, None | Some("EdDSA" | "Ed25519")) => {
                (Algorithm::EdDSA, DecodingKey::from_ed_components(jwk.x.as_deref()?).ok()?)
            }
            // Also `oct`: a secret in a public set is none.
            _ => return None,
        };
        Some(Self { kid: jwk.kid.clone(), algorithm, decoding })
    }
}

impl Jwk {
    fn point(&self) -> Option<DecodingKey> {
        DecodingKey::from_ec_components(self.x.as_deref()?, self.y.as_deref()?).ok()
    }
}
