use aws_lc_rs::digest::{Context, SHA256};

/// A file of a version, as it was when the version was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Below the version's place.
    pub path: String,
    /// Hex.
    pub sha256: String,
    pub size: u64,
}

/// What was known of a version's files when it was registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Manifest {
    /// It was registered before files were noted.
    #[default]
    Unnoted,
    /// They lie elsewhere, or nothing is recorded under their place.
    Elsewhere,
    TooMany,
    Known {
        sha256: String,
        count: u32,
        size: u64,
    },
}

/// What was found of the signature over a version's files. One that is wrong is of no version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SignatureCheck {
    /// It was registered before signatures were looked for.
    #[default]
    Unnoted,
    Absent,
    Verified {
        /// What the policy calls the key.
        key: String,
        fingerprint: String,
        /// Of the signature's file.
        sha256: String,
    },
    Untrusted {
        /// Of the key that it names. Empty: it names none.
        fingerprint: String,
        sha256: String,
        problem: String,
    },
}

impl Manifest {
    /// Of files in the order of their paths: the digest of what `sha256sum` would print of them.
    pub fn of(artifacts: &[Artifact]) -> Self {
        if artifacts.is_empty() {
            return Self::Elsewhere;
        }
        let mut whole = Context::new(&SHA256);
        for Artifact { path, sha256, .. } in artifacts {
            whole.update(format!("{sha256}  {path}\n").as_bytes());
        }
        Self::Known {
            sha256: hex::encode(whole.finish()),
            count: u32::try_from(artifacts.len()).unwrap_or(u32::MAX),
            size: artifacts.iter().map(|artifact| artifact.size).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_the_digest_of_what_sha256sum_prints() {
        let file = |path: &str, letter: &str| Artifact { path: path.into(), sha256: letter.repeat(64), size: 2 };
        let manifest = Manifest::of(&[file("MLmodel", "a"), file("data/b", "b")]);
        let text = format!("{}  MLmodel\n{}  data/b\n", "a".repeat(64), "b".repeat(64));
        let sha256 = hex::encode(aws_lc_rs::digest::digest(&SHA256, text.as_bytes()));
        assert_eq!(manifest, Manifest::Known { sha256, count: 2, size: 4 });
        assert_eq!(Manifest::of(&[]), Manifest::Elsewhere);
    }
}
