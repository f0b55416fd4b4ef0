use std::sync::Arc;

use cairn_modelsig::{Bundle, PublicKey, SIGNATURE_FILE, Verdict};

use super::{Rejection, SigningPolicy, TrustedKey};
use crate::model::version::{Artifact, Manifest, SignatureCheck};

/// What is found of a version's files before it is registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub manifest: Manifest,
    /// By path. Empty, if they are not known.
    pub artifacts: Arc<Vec<Artifact>>,
    /// The signature among them.
    pub signature: Option<SignatureFile>,
}

/// The file of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFile {
    pub sha256: String,
    /// An error: it is larger than the bytes that are read at most.
    pub bytes: Result<Vec<u8>, u64>,
}

/// What a signature is worth under the policies that hold, or why the version cannot be registered.
pub fn judge(policies: &[Arc<SigningPolicy>], found: &Found) -> Result<SignatureCheck, Rejection> {
    let is_required = policies.iter().any(|policy| policy.is_required);
    let Some(file) = &found.signature else {
        return match (is_required, &found.manifest) {
            (false, _) => Ok(SignatureCheck::Absent),
            (true, Manifest::Known { .. }) => Err(Rejection::Missing("there is no model.sig beside its files")),
            (true, Manifest::TooMany) => Err(Rejection::Missing("its files are more than are noted")),
            (true, Manifest::Unnoted | Manifest::Elsewhere) => {
                Err(Rejection::Missing("its files are not known here: they lie elsewhere, or there are none"))
            }
        };
    };
    let bytes = file.bytes.as_deref();
    let bytes = bytes.map_err(|max| Rejection::Invalid(format!("it is larger than {max} bytes")))?;
    let bundle = Bundle::read(bytes)?;
    let trusted: Vec<&TrustedKey> = policies.iter().flat_map(|policy| policy.keys.iter()).collect();
    let keys: Vec<PublicKey> = trusted.iter().map(|trusted| trusted.key.clone()).collect();
    let files = found.artifacts.iter().map(|artifact| (artifact.path.as_str(), artifact.sha256.as_str()));
    let sha256 = file.sha256.clone();
    match bundle.judge(&keys, files)? {
        Verdict::Verified(at) => {
            let fingerprint = keys[at].fingerprint();
            Ok(SignatureCheck::Verified { key: trusted[at].name.clone(), fingerprint, sha256 })
        }
        Verdict::Untrusted(problem) => {
            let fingerprint = bundle.key_hint().unwrap_or_default().to_owned();
            match is_required {
                true => Err(Rejection::Untrusted { problem, fingerprint }),
                false => Ok(SignatureCheck::Untrusted { fingerprint, sha256, problem }),
            }
        }
    }
}

impl Found {
    /// Files that are not known here.
    pub fn elsewhere() -> Self {
        Self { manifest: Manifest::Elsewhere, ..Self::default() }
    }

    /// Files that are known, by path.
    pub fn of(artifacts: Vec<Artifact>) -> Self {
        Self { manifest: Manifest::of(&artifacts), artifacts: Arc::new(artifacts), signature: None }
    }

    /// The file that a signature would be.
    pub fn signature_file(&self) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.path == SIGNATURE_FILE)
    }
}
