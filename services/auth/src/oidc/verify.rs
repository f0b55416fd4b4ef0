//! Whether a token of a provider holds. Pure: no clock, no network.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_kernel::Time;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use serde_json::{Map, Value};

use super::keys::Keys;

/// How far a provider's clock and ours may differ.
pub const LEEWAY: Duration = Duration::from_secs(60);
/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 64 << 10;
/// Longest subject (OpenID Connect Core, section 2).
const SUBJECT_BYTES_MAX: usize = 255;
/// What a header may not bring: keys of its own, places to look for them, and ways of reading of its own.
const FORBIDDEN: [&str; 7] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"];

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub issuer: &'a str,
    pub audience: &'a str,
    pub now: Time,
}

/// Why a token does not hold. For the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    #[error("it is longer than a token may be")]
    TooLong,
    #[error("it is not three parts of base64url")]
    Shape,
    #[error("its header does not read")]
    Header,
    #[error("its header brings keys, or ways of reading, of its own")]
    Forbidden,
    #[error("its algorithm is not the one of the key")]
    Algorithm,
    #[error("it names a key that the provider does not have")]
    UnknownKey,
    #[error("its signature does not fit")]
    Signature,
    #[error("a claim is missing or of another type")]
    Claims,
    #[error("it is from another issuer")]
    Issuer,
    #[error("it is for another audience")]
    Audience,
    #[error("it was given to another party")]
    Party,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
    #[error("its nonce is not that of the login")]
    Nonce,
    #[error("it is no token of this kind")]
    Kind,
}

impl TokenFault {
    /// A label from a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Shape => "token_shape",
            Self::Header => "token_header",
            Self::Forbidden => "token_header_forbidden",
            Self::Algorithm => "token_algorithm",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::Claims => "token_claims",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Party => "token_party",
            Self::Expired => "token_expired",
            Self::NotYet => "token_not_yet",
            Self::Nonce => "token_nonce",
            Self::Kind => "token_kind",
        }
    }
}

/// An ID token that holds, for the login that has this nonce.
pub fn id_token(token: &str, keys: &Keys, wanted: Wanted<'_>, nonce: &str) -> Result<Map<String, Value>, TokenFault> {
    let claims = signed(token, keys, wanted)?;
    match claims.get("nonce").and_then(Value::as_str) {
        Some(said) if said == nonce && !nonce.is_empty() => {}
        _ => return Err(TokenFault::Nonce),
    }
    subject(&claims)?;
    // A logout token is signed with the same keys, and is no proof that somebody is there.
    if claims.contains_key("events") { Err(TokenFault::Kind) } else { Ok(claims) }
}

/// A logout token that holds (OpenID Connect Back-Channel Logout, section 2.6).
pub fn logout_token(token: &str, keys: &Keys, wanted: Wanted<'_>) -> Result<Map<String, Value>, TokenFault> {
    const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
    let claims = signed(token, keys, wanted)?;
    let is_logout = claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object);
    if !is_logout || claims.contains_key("nonce") {
        return Err(TokenFault::Kind);
    }
    let names_somebody = ["sub", "sid"].iter().any(|claim| claims.get(*claim).is_some_and(Value::is_string));
    if names_somebody { Ok(claims) } else { Err(TokenFault::Claims) }
}

/// A token that is signed by the provider, from it, for us, and of now.
pub fn signed(token: &str, keys: &Keys, wanted: Wanted<'_>) -> Result<Map<String, Value>, TokenFault> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenFault::TooLong);
    }
    let header = header(token)?;
    if FORBIDDEN.iter().any(|field| header.contains_key(*field)) {
        return Err(TokenFault::Forbidden);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(algorithm).ok_or(TokenFault::Algorithm)?;
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.as_str()),
        Some(_) => return Err(TokenFault::Header),
    };
    let key = keys.find(kid, algorithm).ok_or(TokenFault::UnknownKey)?;
    if key.algorithm != algorithm {
        return Err(TokenFault::Algorithm);
    }
    let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &key.decoding, &signature_only(algorithm))
        .map_err(|fault| match fault.kind() {
            ErrorKind::InvalidSignature => TokenFault::Signature,
            _ => TokenFault::Claims,
        })?
        .claims;
    check(&claims, wanted)?;
    Ok(claims)
}

/// Whom a token is about.
pub fn subject(claims: &Map<String, Value>) -> Result<&str, TokenFault> {
    let subject = claims.get("sub").and_then(Value::as_str).ok_or(TokenFault::Claims)?;
    let is_fit = !subject.is_empty() && subject.len() <= SUBJECT_BYTES_MAX && !subject.chars().any(char::is_control);
    if is_fit { Ok(subject) } else { Err(TokenFault::Claims) }
}

fn check(claims: &Map<String, Value>, wanted: Wanted<'_>) -> Result<(), TokenFault> {
    if claims.get("iss").and_then(Value::as_str).ok_or(TokenFault::Claims)? != wanted.issuer {
        return Err(TokenFault::Issuer);
    }
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => {
            several.iter().map(|one| one.as_str().ok_or(TokenFault::Claims)).collect::<Result<_, _>>()?
        }
        _ => return Err(TokenFault::Claims),
    };
    if !audiences.contains(&wanted.audience) {
        return Err(TokenFault::Audience);
    }
    match claims.get("azp") {
        None if audiences.len() > 1 => return Err(TokenFault::Party),
        None => {}
        Some(party) if party == wanted.audience => {}
        Some(_) => return Err(TokenFault::Party),
    }
    let (now, _) = wanted.now.seconds_and_nanos();
    let leeway = i64::try_from(LEEWAY.as_secs()).expect("a constant of ours");
    // Whole numbers only: what does not read as one must not read as absent.
    let moment = |claim: &str| match claims.get(claim) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or(TokenFault::Claims),
    };
    let expires = moment("exp")?.ok_or(TokenFault::Claims)?;
    let issued = moment("iat")?.ok_or(TokenFault::Claims)?;
    if expires.saturating_add(leeway) <= now {
        return Err(TokenFault::Expired);
    }
    let begins = moment("nbf")?.unwrap_or(issued).max(issued);
    if begins.saturating_sub(leeway) > now { Err(TokenFault::NotYet) } else { Ok(()) }
}

fn header(token: &str) -> Result<Map<String, Value>, TokenFault> {
    let mut parts = token.split('.');
    let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(TokenFault::Shape);
    };
    let bytes = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenFault::Shape)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenFault::Header)
}

/// The algorithms with a public key. None without one, and none with a shared secret.
fn algorithm(word: &str) -> Option<Algorithm> {
    Some(match word {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}

/// The signature is the library's to check; the claims are ours, by our clock and without its leniencies.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

#[cfg(test)]
mod spec;
