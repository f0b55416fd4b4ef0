use std::collections::BTreeSet;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use serde_json::json;

use super::*;

const NOW: Time = Time::from_millis(1_800_000_000_000);
const SECONDS: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example.org";
const NONCE: &str = "n-0S6_WzA2Mj";

/// A provider with a key of each kind, and an attacker who can sign with them.
struct Provider {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    keys: Keys,
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    fn new() -> Self {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        let public = rsa.public_key();
        let point = ec.public_key().as_ref();
        let set = json!({"keys": [
            {"kty": "RSA", "kid": "rsa", "use": "sig", "n": text(public.modulus().big_endian_without_leading_zero()),
             "e": text(public.exponent().big_endian_without_leading_zero())},
            {"kty": "EC", "kid": "ec", "alg": "ES256", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])},
            {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": text(ed.public_key().as_ref())},
            {"kty": "RSA", "kid": "enc", "use": "enc", "n": text(public.modulus().big_endian_without_leading_zero()),
             "e": "AQAB"},
            {"kty": "RSA", "kid": "weak", "n": text(&[0x81; 128]), "e": "AQAB"},
            {"kty": "oct", "kid": "oct", "k": text(b"a secret that everybody knows")},
            {"kty": "new", "kid": "new"},
            7,
        ]});
        let keys = Keys::read(set.to_string().as_bytes()).unwrap();
        assert_eq!(keys.len(), 3, "those that can sign, and well");
        Self { rsa, ec, ed, keys }
    }

    /// Signs whatever header and claims with the key that fits an algorithm.
    fn signed(&self, key: &str, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", text(header.to_string().as_bytes()), text(claims.to_string().as_bytes()));
        let random = SystemRandom::new();
        let bytes = message.as_bytes();
        let rsa = |padding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(padding, &random, bytes, &mut signature).unwrap();
            signature
        };
        let signature = match key {
            "rsa" => rsa(&RSA_PKCS1_SHA256),
            "pss" => rsa(&RSA_PSS_SHA256),
            "ec" => self.ec.sign(&random, bytes).unwrap().as_ref().to_vec(),
            _ => self.ed.sign(bytes).as_ref().to_vec(),
        };
        format!("{message}.{}", text(&signature))
    }

    fn check(&self, token: &str) -> Result<Map<String, Value>, TokenFault> {
        id_token(token, &self.keys, wanted(), NONCE)
    }
}

fn wanted() -> Wanted<'static> {
    Wanted { issuer: ISSUER, audience: "cairn", now: NOW }
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "rsa", "typ": "JWT", "x5t": "a thumbprint that some providers send"})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "ada", "aud": "cairn", "exp": SECONDS + 300, "iat": SECONDS, "nonce": NONCE})
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
fn a_token_holds_that_a_key_of_the_provider_signed_in_its_own_way() {
    let provider = Provider::new();
    let (header, claims) = (header(), claims());
    assert_eq!(provider.check(&provider.signed("rsa", &header, &claims)).unwrap()["sub"], "ada");
    let ec = json!({"alg": "ES256", "kid": "ec"});
    assert!(provider.check(&provider.signed("ec", &ec, &claims)).is_ok());
    let ed = json!({"alg": "EdDSA", "kid": "ed"});
    assert!(provider.check(&provider.signed("ed", &ed, &claims)).is_ok());
    // Without a name, the only key there is for the algorithm.
    assert!(provider.check(&provider.signed("ec", &json!({"alg": "ES256"}), &claims)).is_ok());
    let several = with(&with(&claims, "aud", json!(["other", "cairn"])), "azp", json!("cairn"));
    assert!(provider.check(&provider.signed("rsa", &header, &several)).is_ok());
    // Within the leeway of two clocks.
    let late = with(&with(&claims, "exp", json!(SECONDS - 59)), "iat", json!(SECONDS - 600));
    assert!(provider.check(&provider.signed("rsa", &header, &late)).is_ok());
    let early = with(&claims, "iat", json!(SECONDS + 59));
    assert!(provider.check(&provider.signed("rsa", &header, &early)).is_ok());
}

#[test]
fn no_forged_token_of_a_provider_holds_and_each_is_told_apart_in_the_log_s0_91() {
    let provider = Provider::new();
    let (header, claims) = (header(), claims());
    let genuine = provider.signed("rsa", &header, &claims);
    let mut parts = genuine.split('.');
    let (head, body, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let encode = |value: &Value| text(value.to_string().as_bytes());
    let hs256 = {
        // The classic: the public key, which everybody has, taken for a shared secret.
        let message = format!("{}.{}", encode(&json!({"alg": "HS256", "kid": "rsa"})), encode(&claims));
        let public = provider.rsa.public_key().as_der().unwrap();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public.as_ref());
        format!("{message}.{}", text(aws_lc_rs::hmac::sign(&key, message.as_bytes()).as_ref()))
    };
    let head_with = |field: &str, value: Value| provider.signed("rsa", &with(&header, field, value), &claims);
    let claim = |field: &str, value: Value| provider.signed("rsa", &header, &with(&claims, field, value));
    let forged: Vec<(&str, String, TokenFault)> = vec![
        ("no algorithm", format!("{}.{body}.", encode(&json!({"alg": "none"}))), TokenFault::Algorithm),
        ("no algorithm, half shouted", format!("{}.{body}.", encode(&json!({"alg": "nOnE"}))), TokenFault::Algorithm),
        ("the public key as a secret", hs256, TokenFault::Algorithm),
        (
            "another algorithm of the same key",
            provider.signed("pss", &with(&header, "alg", json!("PS256")), &claims),
            TokenFault::Algorithm,
        ),
        ("the algorithm of another key", head_with("alg", json!("ES256")), TokenFault::Algorithm),
        ("no algorithm named", head_with("alg", Value::Null), TokenFault::Algorithm),
        ("a key nobody has", head_with("kid", json!("other")), TokenFault::UnknownKey),
        ("a path for a key", head_with("kid", json!("../../dev/null")), TokenFault::UnknownKey),
        ("a key for encryption", head_with("kid", json!("enc")), TokenFault::UnknownKey),
        ("a weak key", head_with("kid", json!("weak")), TokenFault::UnknownKey),
        (
            "a secret in the public set",
            provider.signed("rsa", &json!({"alg": "RS256", "kid": "oct"}), &claims),
            TokenFault::UnknownKey,
        ),
        ("a key's name that is none", head_with("kid", json!(["rsa"])), TokenFault::Header),
        ("a key of its own", head_with("jwk", json!({"kty": "RSA"})), TokenFault::Forbidden),
        ("a key elsewhere", head_with("jku", json!("https://evil.example/jwks")), TokenFault::Forbidden),
        ("a certificate elsewhere", head_with("x5u", json!("https://evil.example/")), TokenFault::Forbidden),
        ("a certificate", head_with("x5c", json!(["MII"])), TokenFault::Forbidden),
        ("critical extensions", head_with("crit", json!(["b64"])), TokenFault::Forbidden),
        ("not encoded", head_with("b64", json!(false)), TokenFault::Forbidden),
        ("compressed", head_with("zip", json!("DEF")), TokenFault::Forbidden),
        (
            "claims changed",
            format!("{head}.{}.{signature}", encode(&with(&claims, "sub", json!("eve")))),
            TokenFault::Signature,
        ),
        ("no signature", format!("{head}.{body}."), TokenFault::Signature),
        ("signed with another of its keys", provider.signed("ec", &header, &claims), TokenFault::Signature),
        ("another provider's", Provider::new().signed("rsa", &header, &claims), TokenFault::Signature),
        ("another issuer", claim("iss", json!("https://evil.example")), TokenFault::Issuer),
        ("the issuer with a slash", claim("iss", json!("https://id.example.org/")), TokenFault::Issuer),
        ("no issuer", claim("iss", Value::Null), TokenFault::Claims),
        ("another audience", claim("aud", json!("other")), TokenFault::Audience),
        ("other audiences", claim("aud", json!(["other", "cairn2"])), TokenFault::Audience),
        ("several audiences, and no party", claim("aud", json!(["other", "cairn"])), TokenFault::Party),
        ("another party", claim("azp", json!("other")), TokenFault::Party),
        ("an audience that is none", claim("aud", json!({"cairn": true})), TokenFault::Claims),
        ("expired", claim("exp", json!(SECONDS - 60)), TokenFault::Expired),
        ("expiry in words", claim("exp", json!("never")), TokenFault::Claims),
        ("expiry as text", claim("exp", json!((SECONDS + 300).to_string())), TokenFault::Claims),
        ("expiry with a fraction", claim("exp", json!(SECONDS as f64 + 300.5)), TokenFault::Claims),
        ("an expiry that overflows", claim("exp", json!(u64::MAX)), TokenFault::Claims),
        ("no expiry", claim("exp", Value::Null), TokenFault::Claims),
        ("no time of issue", claim("iat", Value::Null), TokenFault::Claims),
        ("issued in the future", claim("iat", json!(SECONDS + 61)), TokenFault::NotYet),
        ("not valid yet", claim("nbf", json!(SECONDS + 61)), TokenFault::NotYet),
        ("a start in words", claim("nbf", json!("now")), TokenFault::Claims),
        ("no nonce", claim("nonce", Value::Null), TokenFault::Nonce),
        ("another login's nonce", claim("nonce", json!("other")), TokenFault::Nonce),
        ("no subject", claim("sub", Value::Null), TokenFault::Claims),
        ("an empty subject", claim("sub", json!("")), TokenFault::Claims),
        ("a subject for two logs", claim("sub", json!("ada\nroot")), TokenFault::Claims),
        ("a subject too long", claim("sub", json!("a".repeat(256))), TokenFault::Claims),
        ("a logout token", claim("events", json!({})), TokenFault::Kind),
        ("two parts", format!("{head}.{body}"), TokenFault::Shape),
        ("five parts, as what is encrypted has", format!("{genuine}.x.y"), TokenFault::Shape),
        ("a header that is no object", format!("{}.{body}.{signature}", text(b"7")), TokenFault::Header),
        ("nothing", String::new(), TokenFault::Shape),
        ("more than anybody reads", "a".repeat(TOKEN_BYTES_MAX + 1), TokenFault::TooLong),
    ];
    assert!(provider.check(&genuine).is_ok());
    for (what, token, expected) in &forged {
        assert_eq!(provider.check(token), Err(*expected), "{what}");
    }
    let reasons: BTreeSet<&str> = forged.iter().map(|(_, _, fault)| fault.reason()).collect();
    assert_eq!(reasons.len(), 15, "each kind has a word of its own: {reasons:?}");
}

#[test]
fn a_logout_token_says_that_somebody_is_gone_and_nothing_else_does() {
    let provider = Provider::new();
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let good = with(&with(&with(&claims(), "nonce", Value::Null), "events", event), "sid", json!("s-1"));
    let check = |claims: &Value| logout_token(&provider.signed("rsa", &header(), claims), &provider.keys, wanted());
    assert_eq!(check(&good).unwrap()["sid"], "s-1");
    assert_eq!(check(&claims()), Err(TokenFault::Kind), "an ID token");
    assert_eq!(check(&with(&good, "nonce", json!(NONCE))), Err(TokenFault::Kind), "it could be an ID token");
    assert_eq!(check(&with(&good, "events", json!({"other": {}}))), Err(TokenFault::Kind));
    let nobody = with(&with(&good, "sub", Value::Null), "sid", Value::Null);
    assert_eq!(check(&nobody), Err(TokenFault::Claims));
}
