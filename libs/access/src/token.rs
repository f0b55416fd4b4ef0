use std::collections::HashMap;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_kernel::Time;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::fresh_id;
use crate::keyring::SigningKey;
use crate::{AuthenticationFault, Keyring};

/// Longest life of an access token.
pub const ACCESS_TOKEN_LIFE_MAX: Duration = Duration::from_secs(600);
/// Life of a principal token.
pub const PRINCIPAL_TOKEN_LIFE: Duration = Duration::from_secs(60);
/// How far two clocks may differ.
const LEEWAY: Duration = Duration::from_secs(30);
/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// What a token is for. Each kind has its own type, audience, key and longest life, so that none passes for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A caller presents it to the gateway.
    Access,
    /// The gateway presents it to a service.
    Principal,
}

impl Use {
    fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Principal => "cairn-principal+jwt",
        }
    }

    fn life_max(self) -> Duration {
        match self {
            Self::Access => ACCESS_TOKEN_LIFE_MAX,
            Self::Principal => PRINCIPAL_TOKEN_LIFE,
        }
    }
}

/// What a token says. Every claim is required, and numbers are whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: String,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    pub jti: String,
    /// The API key or the session behind it; what a revocation names. Empty: none.
    pub key: String,
    /// Resource names it is narrowed to. Empty: not narrowed.
    pub scope: Vec<String>,
}

impl Claims {
    /// When it was signed, to the millisecond: `jti` knows it better than `iat`, which counts whole seconds.
    pub fn issue_time(&self) -> Time {
        let stamp = Uuid::parse_str(&self.jti).ok().and_then(|id| id.get_timestamp());
        let (seconds, nanos) = stamp.map_or((0, 0), |stamp| stamp.to_unix());
        match i64::try_from(seconds) {
            Ok(seconds) if seconds > 0 => Time::from_seconds_and_nanos(seconds, i32::try_from(nanos).unwrap_or(0)),
            _ => Time::from_seconds_and_nanos(self.iat, 0),
        }
    }
}

/// The header has exactly these three. Anything else (`jku`, `jwk`, `x5u`, `crit`, `zip`, …) is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    alg: String,
    kid: String,
    typ: String,
}

/// Why a token does not hold. For the log; outside it is an [`AuthenticationFault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenFault {
    #[error("it is longer than a token may be")]
    TooLong,
    #[error("it is not three parts of base64url")]
    Shape,
    #[error("its header is not exactly alg, kid and typ")]
    Header,
    #[error("its algorithm is not EdDSA")]
    Algorithm,
    #[error("its type is another")]
    Type,
    #[error("it names a key that is not ours")]
    UnknownKey,
    #[error("its signature does not fit")]
    Signature,
    #[error("a claim is missing, superfluous or of another type")]
    Claims,
    #[error("it is from another issuer")]
    Issuer,
    #[error("it is for another audience")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
    #[error("it lives longer than a token may")]
    TooLongLived,
}

impl From<TokenFault> for AuthenticationFault {
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::Expired => Self::Expired,
            TokenFault::Audience => Self::Audience,
            TokenFault::Algorithm => Self::Algorithm,
            TokenFault::UnknownKey | TokenFault::Signature => Self::Signature,
            TokenFault::TooLong
            | TokenFault::Shape
            | TokenFault::Header
            | TokenFault::Type
            | TokenFault::Claims
            | TokenFault::Issuer
            | TokenFault::NotYet
            | TokenFault::TooLongLived => Self::Invalid,
        }
    }
}

/// Signs and checks tokens.
pub(crate) struct Tokens {
    issuer: String,
    access: ArcSwap<Key>,
    principal: ArcSwap<Key>,
}

struct Key {
    kid: String,
    audience: String,
    encoding: EncodingKey,
    /// By `kid`; the one way a key is chosen.
    decoding: HashMap<String, DecodingKey>,
}

impl Key {
    /// Signs with the first key, and accepts what any of them signed.
    fn new(key: &SigningKey, others: &[&SigningKey], audience: String) -> Self {
        let known = [&[key], others].concat();
        let decoding = known.iter().map(|key| (key.kid.clone(), DecodingKey::from_ed_der(&key.public)));
        Self {
            kid: key.kid.clone(),
            audience,
            encoding: EncodingKey::from_ed_der(&key.pkcs8),
            decoding: decoding.collect(),
        }
    }

    fn of_access(keyring: &Keyring) -> Self {
        let slots = keyring.slots();
        let mut others = vec![&slots.next];
        others.extend(&slots.previous);
        Self::new(&slots.current, &others, format!("{}:gateway", issuer(keyring)))
    }
}

fn issuer(keyring: &Keyring) -> String {
    format!("cairn:{}", keyring.deployment())
}

impl Tokens {
    pub fn new(keyring: &Keyring) -> Self {
        let issuer = issuer(keyring);
        let principal = Key::new(keyring.principal_key(), &[], format!("{issuer}:services"));
        Self {
            access: ArcSwap::from_pointee(Key::of_access(keyring)),
            principal: ArcSwap::from_pointee(principal),
            issuer,
        }
    }

    /// Takes over the keys for access tokens as the keyring has them now.
    pub fn take_over(&self, keyring: &Keyring) {
        self.access.store(std::sync::Arc::new(Key::of_access(keyring)));
    }

    /// Whether access tokens are signed with this key.
    pub fn signs_with(&self, kid: &str) -> bool {
        self.access.load().kid == kid
    }

    fn key(&self, used: Use) -> arc_swap::Guard<std::sync::Arc<Key>> {
        match used {
            Use::Access => self.access.load(),
            Use::Principal => self.principal.load(),
        }
    }

    /// Signs whatever claims with the key for access tokens, under a type of its own: an ID token must not pass for an
    /// access token, which the type and the audience see to.
    pub fn sign_id(&self, claims: &serde_json::Value) -> String {
        let key = self.key(Use::Access);
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("JWT".to_owned());
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, claims, &key.encoding).expect("a key of ours signs plain claims")
    }

    /// Signs a token for `sub` that lives for `life`, cut to what its use allows.
    pub fn sign(&self, used: Use, sub: &str, credential: &str, scope: &[String], now: Time, life: Duration) -> String {
        let key = self.key(used);
        let (iat, _) = now.seconds_and_nanos();
        let life = i64::try_from(life.min(used.life_max()).as_secs()).expect("no token lives that long");
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: key.audience.clone(),
            sub: sub.to_owned(),
            iat,
            nbf: iat,
            exp: iat + life,
            jti: fresh_id(now),
            key: credential.to_owned(),
            scope: scope.to_vec(),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(used.typ().to_owned());
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, &claims, &key.encoding).expect("a key of ours signs plain claims")
    }

    /// Checks a token as strictly as it is written: what we did not sign in exactly this form does not hold.
    pub fn check(&self, used: Use, token: &str, now: Time) -> Result<Claims, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::TooLong);
        }
        let header = header(token)?;
        if header.alg != "EdDSA" {
            return Err(TokenFault::Algorithm);
        }
        if header.typ != used.typ() {
            return Err(TokenFault::Type);
        }
        let key = self.key(used);
        let decoding = key.decoding.get(&header.kid).ok_or(TokenFault::UnknownKey)?;
        let claims = jsonwebtoken::decode::<Claims>(token, decoding, &signature_only())
            .map_err(|fault| match fault.kind() {
                ErrorKind::InvalidSignature => TokenFault::Signature,
                _ => TokenFault::Claims,
            })?
            .claims;
        if claims.iss != self.issuer {
            return Err(TokenFault::Issuer);
        }
        if claims.aud != key.audience {
            return Err(TokenFault::Audience);
        }
        is_current(&claims, used, now)?;
        Ok(claims)
    }
}

fn header(token: &str) -> Result<StrictHeader, TokenFault> {
    let mut parts = token.split('.');
    let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(TokenFault::Shape);
    };
    let bytes = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenFault::Shape)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenFault::Header)
}

/// The signature is the library's to check; the claims are ours, by our clock and without its leniencies.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// Whether a token holds at this moment: checked anew on every use, also of a token whose signature is known to fit.
pub(crate) fn is_current(claims: &Claims, used: Use, now: Time) -> Result<(), TokenFault> {
    let (now, _) = now.seconds_and_nanos();
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).expect("a constant of ours");
    let leeway = seconds(LEEWAY);
    if claims.exp.saturating_add(leeway) <= now {
        return Err(TokenFault::Expired);
    }
    if claims.nbf.saturating_sub(leeway) > now || claims.iat.saturating_sub(leeway) > now {
        return Err(TokenFault::NotYet);
    }
    let life = claims.exp.saturating_sub(claims.iat.min(claims.nbf));
    if life > seconds(used.life_max()) { Err(TokenFault::TooLongLived) } else { Ok(()) }
}

#[cfg(test)]
mod spec;
