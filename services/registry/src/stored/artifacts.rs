//! What is known of a version's files, in the contract's words: stored so and told so.

use cairn_contract::cairn::registry::v1 as proto;
use proto::{ManifestState, SignatureState};

use crate::model::version::{Artifact, Manifest, SignatureCheck};

pub fn encode_artifact(artifact: &Artifact) -> proto::VersionArtifact {
    let Artifact { path, sha256, size } = artifact.clone();
    proto::VersionArtifact { path, sha256, size_bytes: size }
}

pub fn decode_artifact(message: proto::VersionArtifact) -> Artifact {
    Artifact { path: message.path, sha256: message.sha256, size: message.size_bytes }
}

/// `None`: it was not noted.
pub fn encode_manifest(manifest: &Manifest) -> Option<proto::ArtifactManifest> {
    let of = |state: ManifestState| proto::ArtifactManifest { state: state.into(), ..Default::default() };
    Some(match manifest {
        Manifest::Unnoted => return None,
        Manifest::Elsewhere => of(ManifestState::Elsewhere),
        Manifest::TooMany => of(ManifestState::TooMany),
        Manifest::Known { sha256, count, size } => proto::ArtifactManifest {
            sha256: sha256.clone(),
            file_count: *count,
            size_bytes: *size,
            ..of(ManifestState::Known)
        },
    })
}

pub fn decode_manifest(message: Option<proto::ArtifactManifest>) -> Manifest {
    let Some(message) = message else { return Manifest::Unnoted };
    match message.state() {
        ManifestState::Unspecified => Manifest::Unnoted,
        ManifestState::Elsewhere => Manifest::Elsewhere,
        ManifestState::TooMany => Manifest::TooMany,
        ManifestState::Known => {
            Manifest::Known { sha256: message.sha256, count: message.file_count, size: message.size_bytes }
        }
    }
}

/// `None`: nobody looked.
pub fn encode_check(check: &SignatureCheck) -> Option<proto::SignatureCheck> {
    let of = |state: SignatureState| proto::SignatureCheck { state: state.into(), ..Default::default() };
    Some(match check.clone() {
        SignatureCheck::Unnoted => return None,
        SignatureCheck::Absent => of(SignatureState::Absent),
        SignatureCheck::Verified { key, fingerprint, sha256 } => proto::SignatureCheck {
            key_name: key,
            key_fingerprint: fingerprint,
            signature_sha256: sha256,
            ..of(SignatureState::Verified)
        },
        SignatureCheck::Untrusted { fingerprint, sha256, problem } => proto::SignatureCheck {
            key_fingerprint: fingerprint,
            signature_sha256: sha256,
            problem,
            ..of(SignatureState::Untrusted)
        },
    })
}

pub fn decode_check(message: Option<proto::SignatureCheck>) -> SignatureCheck {
    let Some(message) = message else { return SignatureCheck::Unnoted };
    let (fingerprint, sha256) = (message.key_fingerprint.clone(), message.signature_sha256.clone());
    match message.state() {
        SignatureState::Unspecified => SignatureCheck::Unnoted,
        SignatureState::Absent => SignatureCheck::Absent,
        SignatureState::Verified => SignatureCheck::Verified { key: message.key_name, fingerprint, sha256 },
        SignatureState::Untrusted => SignatureCheck::Untrusted { fingerprint, sha256, problem: message.problem },
    }
}
