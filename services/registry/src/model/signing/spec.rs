use cairn_testkit::given;

use super::*;
use crate::model::version::{Artifact, Manifest, SignatureCheck};

const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----
";

fn scope() -> PolicyScope {
    PolicyScope::Project("projects/p".parse().unwrap())
}

fn keys() -> Arc<Vec<TrustedKey>> {
    Arc::new(vec![TrustedKey { name: "release".into(), key: KEY.parse().unwrap() }])
}

fn required(is_required: bool) -> Vec<Arc<SigningPolicy>> {
    vec![Arc::default(), Arc::new(SigningPolicy { keys: keys(), is_required })]
}

fn files() -> Found {
    Found::of(vec![Artifact { path: "MLmodel".into(), sha256: "a".repeat(64), size: 1 }])
}

#[test]
fn a_policy_is_set_as_a_whole_and_setting_it_again_changes_nothing() {
    let set = |keys, is_required| Command { scope: scope(), keys, is_required };
    let event = |keys, is_required| Event { scope: scope(), keys, is_required };
    given::<SigningPolicy>([])
        .when(set(Arc::default(), false))
        .nothing()
        .when(set(keys(), true))
        .then([event(keys(), true)])
        .when(set(keys(), true))
        .nothing()
        .when(set(Arc::default(), false))
        .then([event(Arc::default(), false)]);
}

#[test]
fn a_model_has_the_policy_of_its_project_and_its_own() {
    let model: ModelName = "projects/p/models/m".parse().unwrap();
    let streams = model.signing_scopes().map(|scope| scope.signing_stream().to_string());
    assert_eq!(streams, ["registry.signing-projects/p", "registry.signing-projects/p/models/m"]);
}

#[test]
fn no_signature_is_well_unless_one_is_required() {
    assert_eq!(judge(&required(false), &files()), Ok(SignatureCheck::Absent));
    let too_many = Found { manifest: Manifest::TooMany, ..Found::default() };
    for found in [files(), Found::elsewhere(), too_many] {
        assert_eq!(judge(&required(false), &found), Ok(SignatureCheck::Absent));
        assert!(matches!(judge(&required(true), &found), Err(Rejection::Missing(_))));
    }
}

#[test]
fn a_signature_that_cannot_be_read_is_refused_though_none_is_required() {
    for bytes in [Ok(b"PGP".to_vec()), Err(7)] {
        let signature = Some(SignatureFile { sha256: "b".repeat(64), bytes });
        let found = Found { signature, ..files() };
        assert!(matches!(judge(&required(false), &found), Err(Rejection::Invalid(_))));
    }
}
