//! Signatures made here, by hand, as the format has them; and every way to change one.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::bundle::encoded;
use super::*;

/// A key with its secret.
struct Signer {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl Signer {
    fn on(curve: &'static EcdsaSigningAlgorithm, head: &str) -> Self {
        let pair = EcdsaKeyPair::generate(curve).unwrap();
        let der = [hex::decode(head).unwrap(), pair.public_key().as_ref().to_vec()].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        Self { pair, public: pem.parse().unwrap() }
    }

    fn new() -> Self {
        Self::on(&ECDSA_P256_SHA256_ASN1_SIGNING, "3059301306072a8648ce3d020106082a8648ce3d030107034200")
    }

    fn all() -> [Self; 3] {
        [
            Self::new(),
            Self::on(&ECDSA_P384_SHA384_ASN1_SIGNING, "3076301006072a8648ce3d020106052b81040022036200"),
            Self::on(
                &ECDSA_P521_SHA512_ASN1_SIGNING,
                "30819b301006072a8648ce3d020106052b81040023038186 00".replace(' ', "").as_str(),
            ),
        ]
    }

    fn signed(&self, statement: &Value) -> Value {
        let payload = statement.to_string();
        let signature = self.pair.sign(&SystemRandom::new(), &encoded(payload.as_bytes())).unwrap();
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": self.public.fingerprint()}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": STANDARD.encode(payload), "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"sig": STANDARD.encode(signature.as_ref()), "keyid": ""}],
            },
        })
    }
}

fn digest(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn files() -> Vec<(String, String)> {
    vec![("MLmodel".into(), digest('a')), ("data/model.pkl".into(), digest('b'))]
}

fn statement(files: &[(String, String)]) -> Value {
    let bytes: Vec<u8> = files.iter().flat_map(|(_, sha256)| hex::decode(sha256).unwrap()).collect();
    let whole = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes));
    let resource = |(name, sha256): &(String, String)| json!({"name": name, "algorithm": "sha256", "digest": sha256});
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "m", "digest": {"sha256": whole}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files", "hash_type": "sha256", "allow_symlinks": false,
                "ignore_paths": [".git", ".gitignore", "model.sig"],
            },
            "resources": files.iter().map(resource).collect::<Vec<_>>(),
        },
    })
}

fn judge(bundle: &Value, keys: &[PublicKey], files: &[(String, String)]) -> Result<Verdict, SignatureFault> {
    let files = files.iter().map(|(path, sha256)| (path.as_str(), sha256.as_str()));
    Bundle::read(bundle.to_string().as_bytes())?.judge(keys, files)
}

#[test]
fn a_trusted_key_vouches_for_the_files_it_signed_on_each_curve() {
    for signer in Signer::all() {
        let bundle = signer.signed(&statement(&files()));
        let keys = [Signer::new().public, signer.public.clone()];
        assert_eq!(judge(&bundle, &keys, &files()), Ok(Verdict::Verified(1)));
    }
}

#[test]
fn the_signature_itself_and_what_the_signer_left_out_do_not_count() {
    let signer = Signer::new();
    let bundle = signer.signed(&statement(&files()));
    let mut more = files();
    more.extend(
        [("model.sig", 'c'), (".git/config", 'd'), (".gitignore", 'e')].map(|(path, c)| (path.into(), digest(c))),
    );
    assert_eq!(judge(&bundle, &[signer.public], &more), Ok(Verdict::Verified(0)));
}

#[test]
fn a_file_that_changed_is_missing_or_was_added_is_named() {
    let signer = Signer::new();
    let (bundle, keys) = (signer.signed(&statement(&files())), [signer.public.clone()]);
    let mut changed = files();
    changed[1].1 = digest('f');
    let difference = |files: &[(String, String)]| match judge(&bundle, &keys, files) {
        Err(SignatureFault::Files(difference)) => difference,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        difference(&changed),
        Difference::Changed { path: "data/model.pkl".into(), signed: digest('b'), found: digest('f') }
    );
    assert_eq!(difference(&files()[..1]), Difference::Missing { path: "data/model.pkl".into(), signed: digest('b') });
    for added in ["extra", ".gitmodules", "data/model.sig", ".github/x"] {
        let mut more = files();
        more.push((added.into(), digest('0')));
        assert_eq!(difference(&more), Difference::Unsigned { path: added.into(), found: digest('0') });
    }
    // Nobody is trusted here, and the files are compared all the same.
    assert!(matches!(judge(&bundle, &[], &changed), Err(SignatureFault::Files(_))));
}

#[test]
fn whatever_is_changed_in_a_payload_or_a_signature_is_found() {
    let signer = Signer::new();
    let (bundle, keys) = (signer.signed(&statement(&files())), [signer.public.clone()]);
    for field in ["/dsseEnvelope/payload", "/dsseEnvelope/signatures/0/sig"] {
        let bytes = STANDARD.decode(bundle.pointer(field).unwrap().as_str().unwrap()).unwrap();
        for at in 0..bytes.len() {
            for bit in [0x01, 0x80] {
                let mut other = bytes.clone();
                other[at] ^= bit;
                let mut changed = bundle.clone();
                *changed.pointer_mut(field).unwrap() = json!(STANDARD.encode(other));
                assert!(judge(&changed, &keys, &files()).is_err(), "{field}, byte {at}");
            }
        }
    }
    // A whole statement over other files, under the same signature.
    let mut others = files();
    others[0].1 = digest('9');
    let mut changed = bundle.clone();
    changed["dsseEnvelope"]["payload"] = json!(STANDARD.encode(statement(&others).to_string()));
    let fingerprint = signer.public.fingerprint();
    assert_eq!(judge(&changed, &keys, &others), Err(SignatureFault::Wrong { fingerprint }));
}

#[test]
fn who_is_not_trusted_is_not_believed_whatever_they_call_their_key() {
    let (signer, other) = (Signer::new(), Signer::new());
    let bundle = signer.signed(&statement(&files()));
    let trusted = [other.public.clone()];
    assert!(matches!(judge(&bundle, &trusted, &files()), Ok(Verdict::Untrusted(_))));
    let mut named = bundle.clone();
    named["verificationMaterial"]["publicKey"]["hint"] = json!(other.public.fingerprint());
    assert!(matches!(judge(&named, &trusted, &files()), Err(SignatureFault::Wrong { .. })));
    let mut unnamed = bundle.clone();
    unnamed["verificationMaterial"]["publicKey"] = json!({});
    assert!(matches!(judge(&unnamed, &trusted, &files()), Ok(Verdict::Untrusted(_))));
    assert_eq!(judge(&unnamed, &[other.public, signer.public], &files()), Ok(Verdict::Verified(1)));
}

#[test]
fn what_is_made_or_digested_another_way_is_not_believed() {
    let signer = Signer::new();
    let keys = [signer.public.clone()];
    let mut certified = signer.signed(&statement(&files()));
    certified["verificationMaterial"] = json!({"x509CertificateChain": {"certificates": []}});
    assert!(matches!(judge(&certified, &keys, &files()), Ok(Verdict::Untrusted(_))));
    let mut shards = statement(&files());
    shards["predicate"]["serialization"]["method"] = json!("shards");
    assert!(matches!(judge(&signer.signed(&shards), &keys, &files()), Ok(Verdict::Untrusted(_))));
    let mut blake = statement(&files());
    blake["predicate"]["resources"][0]["algorithm"] = json!("blake3");
    assert!(matches!(judge(&signer.signed(&blake), &keys, &files()), Ok(Verdict::Untrusted(_))));
}

#[test]
fn what_is_no_signature_of_this_format_is_not_read() {
    let signer = Signer::new();
    let good = signer.signed(&statement(&files()));
    let with = |path: &str, value: Value| {
        let mut bundle = good.clone();
        *bundle.pointer_mut(path).unwrap() = value;
        bundle
    };
    let stated = |path: &str, value: Value| {
        let mut other = statement(&files());
        *other.pointer_mut(path).unwrap() = value;
        signer.signed(&other)
    };
    let twice = [files(), files()[..1].to_vec()].concat();
    for bundle in [
        json!({}),
        json!("text"),
        with("/mediaType", json!("application/vnd.dev.sigstore.bundle+json;version=0.2")),
        with("/dsseEnvelope/payloadType", json!("text/plain")),
        with("/dsseEnvelope/payload", json!("not base64")),
        with("/dsseEnvelope/signatures", json!([])),
        stated("/_type", json!("https://in-toto.io/Statement/v0.1")),
        stated("/predicateType", json!("https://slsa.dev/provenance/v1")),
        stated("/subject", json!([])),
        stated("/subject/0/digest/sha256", json!(digest('0'))),
        stated("/predicate/resources/0/digest", json!("abc")),
        signer.signed(&statement(&twice)),
    ] {
        let read = Bundle::read(bundle.to_string().as_bytes());
        assert!(matches!(read, Err(SignatureFault::Malformed(_))), "{bundle}");
    }
}

#[test]
fn a_key_is_an_elliptic_curve_key_and_nothing_else() {
    let key = Signer::new().public;
    assert_eq!(key.pem().parse::<PublicKey>().as_ref(), Ok(&key));
    let secret = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(secret.parse::<PublicKey>(), Err(KeyFault::Pem(_))));
    assert!(matches!("".parse::<PublicKey>(), Err(KeyFault::Pem(_))));
    let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    assert_eq!(ed25519.parse::<PublicKey>(), Err(KeyFault::Curve));
    let mut der = STANDARD.decode(key.pem().lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
    *der.last_mut().unwrap() ^= 1;
    let off = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
    assert_eq!(off.parse::<PublicKey>(), Err(KeyFault::Point));
    assert_eq!("x".repeat(5000).parse::<PublicKey>(), Err(KeyFault::TooLong));
}
