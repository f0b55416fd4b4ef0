use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_kernel::{Code, Fault};
use serde_json::{Value, json};

use super::{Claims, LEEWAY, TokenFault, Tokens, Use};
use cairn_kernel::Time;

use crate::{ACCESS_TOKEN_LIFE_MAX, AuthenticationFault, Keyring, PRINCIPAL_TOKEN_LIFE};

const NOW: Time = Time::from_millis(1_800_000_000_000);

struct Forge {
    tokens: Tokens,
    keyring: Keyring,
}

impl Forge {
    fn new() -> Self {
        let keyring = Keyring::generate();
        Self { tokens: Tokens::new(&keyring), keyring }
    }

    fn genuine(&self) -> String {
        self.tokens.sign(Use::Access, "users/ada", "k", &["projects/fraud".to_owned()], NOW, ACCESS_TOKEN_LIFE_MAX)
    }

    /// A token with our own signature over whatever header and claims.
    fn signed(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let key = Ed25519KeyPair::from_pkcs8(&self.keyring.access_key().pkcs8).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes())))
    }

    fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "kid": self.keyring.access_key().kid, "typ": "at+jwt" })
    }

    fn claims(&self) -> Value {
        let claims: Claims = self.tokens.check(Use::Access, &self.genuine(), NOW).unwrap();
        serde_json::to_value(claims).unwrap()
    }

    fn check(&self, token: &str) -> Result<Claims, TokenFault> {
        self.tokens.check(Use::Access, token, NOW)
    }
}

/// A value with one field changed (or, `Null`, removed).
fn with(value: &Value, field: &str, changed: Value) -> Value {
    let mut value = value.clone();
    let object = value.as_object_mut().unwrap();
    match changed {
        Value::Null => drop(object.remove(field)),
        changed => drop(object.insert(field.to_owned(), changed)),
    }
    value
}

#[test]
fn a_token_says_what_was_signed() {
    let forge = Forge::new();
    let claims = forge.check(&forge.genuine()).unwrap();
    assert_eq!((claims.sub.as_str(), claims.key.as_str()), ("users/ada", "k"));
    assert_eq!(claims.scope, ["projects/fraud"]);
    assert_eq!(claims.exp - claims.iat, 600);
}

#[test]
fn no_forged_token_holds_and_each_is_told_apart_in_the_log_s0_91() {
    let forge = Forge::new();
    let (header, claims) = (forge.header(), forge.claims());
    let genuine = forge.genuine();
    let (head, rest) = genuine.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let now = claims["iat"].as_i64().unwrap();
    let principal = forge.tokens.sign(Use::Principal, "users/ada", "k", &[], NOW, PRINCIPAL_TOKEN_LIFE);
    let elsewhere = Forge::new().genuine();
    let hs256 = {
        let header = with(&header, "alg", json!("HS256"));
        let message = format!("{}.{}", encode(&header), encode(&claims));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &forge.keyring.access_key().public);
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, message.as_bytes())))
    };
    let signed_with = |header: &Value, claims: &Value| forge.signed(header, claims);
    let claim = |field: &str, value: Value| signed_with(&header, &with(&claims, field, value));
    let head_with = |field: &str, value: Value| signed_with(&with(&header, field, value), &claims);

    let forged: Vec<(&str, String, TokenFault)> = vec![
        ("no algorithm", format!("{}.{body}.", encode(&with(&header, "alg", json!("none")))), TokenFault::Algorithm),
        ("no algorithm, shouted", head_with("alg", json!("NONE")), TokenFault::Algorithm),
        ("our public key taken for a secret", hs256, TokenFault::Algorithm),
        ("another algorithm", head_with("alg", json!("ES256")), TokenFault::Algorithm),
        ("an unknown key", head_with("kid", json!("other")), TokenFault::UnknownKey),
        ("another deployment's", elsewhere, TokenFault::UnknownKey),
        ("our other key's name", head_with("kid", json!(forge.keyring.principal_key().kid)), TokenFault::UnknownKey),
        ("a principal token", principal, TokenFault::Type),
        ("another type", head_with("typ", json!("JWT")), TokenFault::Type),
        ("no type", head_with("typ", Value::Null), TokenFault::Header),
        ("no key name", head_with("kid", Value::Null), TokenFault::Header),
        ("a key of its own", head_with("jwk", json!({"kty": "OKP"})), TokenFault::Header),
        ("a key elsewhere", head_with("jku", json!("https://evil.example/jwks")), TokenFault::Header),
        ("a certificate elsewhere", head_with("x5u", json!("https://evil.example/")), TokenFault::Header),
        ("a certificate", head_with("x5c", json!(["MII"])), TokenFault::Header),
        ("critical extensions", head_with("crit", json!(["b64"])), TokenFault::Header),
        ("compressed", head_with("zip", json!("DEF")), TokenFault::Header),
        (
            "claims changed",
            format!("{head}.{}.{signature}", encode(&with(&claims, "sub", json!("users/eve")))),
            TokenFault::Signature,
        ),
        ("no signature", format!("{head}.{body}."), TokenFault::Signature),
        ("half a signature", format!("{head}.{body}.{}", &signature[..40]), TokenFault::Signature),
        ("another audience", claim("aud", json!("somebody-else")), TokenFault::Audience),
        ("several audiences", claim("aud", json!([claims["aud"], "other"])), TokenFault::Claims),
        ("another issuer", claim("iss", json!("https://evil.example")), TokenFault::Issuer),
        (
            "expired",
            signed_with(&header, &with(&with(&claims, "exp", json!(now - 31)), "iat", json!(now - 600))),
            TokenFault::Expired,
        ),
        ("expiry in words", claim("exp", json!("never")), TokenFault::Claims),
        ("expiry with a fraction", claim("exp", json!(now as f64 + 60.5)), TokenFault::Claims),
        ("no expiry", claim("exp", Value::Null), TokenFault::Claims),
        ("an expiry that overflows", claim("exp", json!(u64::MAX)), TokenFault::Claims),
        ("too long a life", claim("exp", json!(now + 601)), TokenFault::TooLongLived),
        ("a life that began long ago", claim("nbf", json!(now - 6_000)), TokenFault::TooLongLived),
        ("not valid yet", claim("nbf", json!(now + 31)), TokenFault::NotYet),
        ("issued in the future", claim("iat", json!(now + 31)), TokenFault::NotYet),
        ("no start in words", claim("nbf", json!("now")), TokenFault::Claims),
        ("no subject", claim("sub", Value::Null), TokenFault::Claims),
        ("no id", claim("jti", Value::Null), TokenFault::Claims),
        ("a claim too many", claim("admin", json!(true)), TokenFault::Claims),
        ("two parts", format!("{head}.{body}"), TokenFault::Shape),
        ("four parts", format!("{genuine}.x"), TokenFault::Shape),
        ("no base64", format!("!{genuine}"), TokenFault::Shape),
        ("nothing", String::new(), TokenFault::Shape),
        ("too long", format!("{genuine}{}", "A".repeat(9_000)), TokenFault::TooLong),
    ];
    for (what, token, expected) in forged {
        assert_eq!(forge.check(&token), Err(expected), "{what}");
    }
    assert!(forge.check(&genuine).is_ok());
}

#[test]
fn outside_five_ways_of_being_wrong_have_reasons_of_their_own_s0_91() {
    let reasons = [
        AuthenticationFault::Missing,
        TokenFault::Expired.into(),
        TokenFault::Audience.into(),
        TokenFault::Signature.into(),
        TokenFault::Algorithm.into(),
        TokenFault::Claims.into(),
    ];
    let told: std::collections::BTreeSet<_> = reasons
        .iter()
        .map(|fault: &AuthenticationFault| {
            let (code, reason, _) = fault.describe();
            assert_eq!(code, Code::Unauthenticated);
            reason
        })
        .collect();
    assert_eq!(told.len(), reasons.len());
}

#[test]
fn clocks_may_differ_by_half_a_minute() {
    let forge = Forge::new();
    let token = forge.genuine();
    let at = |seconds: i64| Time::from_micros(NOW.micros() + seconds * 1_000_000);
    let leeway = LEEWAY.as_secs() as i64;
    assert!(forge.tokens.check(Use::Access, &token, at(600 + leeway - 1)).is_ok());
    assert_eq!(forge.tokens.check(Use::Access, &token, at(600 + leeway)), Err(TokenFault::Expired));
    assert!(forge.tokens.check(Use::Access, &token, at(-leeway)).is_ok());
    assert_eq!(forge.tokens.check(Use::Access, &token, at(-leeway - 1)), Err(TokenFault::NotYet));
}

#[test]
fn one_changed_character_anywhere_breaks_a_token() {
    let forge = Forge::new();
    let genuine = forge.genuine();
    for at in 0..genuine.len() {
        let mut changed = genuine.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(forge.check(&changed).is_err(), "character {at}");
    }
}
