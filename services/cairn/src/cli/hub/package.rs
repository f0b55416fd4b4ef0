use cairn_objects::Digest;
use cairn_registry::model::function::{VersionId, statement};
use cairn_tlog::{Note, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::HubFault;
use super::address::Wanted;
use super::manifest::Manifest;
use crate::cli::exit::Unusable;

/// Largest package that is packed or pulled, in bytes.
pub const PACKAGE_BYTES_MAX: u64 = 4 << 30;

/// A package about to be published.
pub struct Sealed {
    pub manifest: Manifest,
    pub version: String,
    pub archive: Vec<u8>,
    pub sha256: String,
    /// Empty: unsigned.
    pub signature: String,
}

impl Sealed {
    /// Digests an archive, and signs function, version and digest.
    pub fn new(
        manifest: Manifest,
        version: String,
        archive: Vec<u8>,
        key: Option<&SigningKey>,
    ) -> anyhow::Result<Self> {
        version.parse::<VersionId>().map_err(|fault| Unusable(fault.to_string()))?;
        let sha256 = Digest::of(&archive).to_string();
        let text = statement(&manifest.name, &version, &sha256);
        let signature = key.map(|key| Note { signatures: vec![key.sign(&text, 0)], text }.to_string());
        Ok(Self { manifest, version, archive, sha256, signature: signature.unwrap_or_default() })
    }
}

/// A version as a hub tells of it. Nothing in it is believed before it is checked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Found {
    pub function: String,
    pub version: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub labels: Value,
    #[serde(default)]
    pub spec: Value,
    pub sha256: String,
    pub size_bytes: u64,
    #[serde(default)]
    pub signature: String,
    #[serde(default)]
    pub create_time: String,
    #[serde(default)]
    pub creator: String,
}

impl Found {
    /// Whether it is what was asked for: a hub could answer with another version.
    pub fn check(&self, wanted: &Wanted) -> Result<(), HubFault> {
        let is_wanted = wanted.version.as_ref().is_none_or(|version| *version == self.version);
        let is_digest = self.sha256.parse::<Digest>().is_ok();
        if self.function == wanted.function && is_wanted && is_digest && self.version.parse::<VersionId>().is_ok() {
            return Ok(());
        }
        let problem =
            format!("{} was asked for, and the hub answers with {}@{}", wanted.shown(), self.function, self.version);
        Err(HubFault::Refused(problem))
    }

    /// Who of those trusted signed this very function, version and digest.
    pub fn signers(&self, keys: &[VerifyingKey]) -> Result<Vec<String>, HubFault> {
        if self.signature.is_empty() {
            return Err(HubFault::Refused(format!("{}@{} is not signed", self.function, self.version)));
        }
        let refused = |problem: String| HubFault::Refused(format!("its signature: {problem}"));
        let note: Note = self.signature.parse().map_err(|fault: cairn_tlog::NoteFault| refused(fault.to_string()))?;
        if note.text != statement(&self.function, &self.version, &self.sha256) {
            return Err(refused("it is over another function, version or package".to_owned()));
        }
        let signers = note.verify(keys).map_err(|fault| refused(fault.to_string()))?;
        Ok(signers.into_iter().map(|key| key.name.to_string()).collect())
    }

    /// As it is printed.
    pub fn shown(&self, hub: &str) -> Value {
        let mut shown = json!(self);
        shown["hub"] = hub.into();
        shown
    }
}

#[cfg(test)]
mod tests {
    use cairn_tlog::Kind;

    use super::*;

    #[test]
    fn a_signature_vouches_for_one_function_version_and_package_only() {
        let key = |name: &str| SigningKey::from_seed(name.parse().unwrap(), Kind::Log, &SigningKey::new_seed());
        let (ours, other) = (key("ours"), key("other"));
        let manifest = Manifest::read("name = 'f'").unwrap();
        let sealed = Sealed::new(manifest, "1.0".into(), b"bytes".to_vec(), Some(&ours)).unwrap();
        let found = Found {
            function: "f".into(),
            version: "1.0".into(),
            sha256: sealed.sha256,
            signature: sealed.signature,
            ..Found::default()
        };
        let trusted = [ours.verifying().clone()];
        assert_eq!(found.signers(&trusted).unwrap(), ["ours"]);
        assert!(found.signers(&[other.verifying().clone()]).is_err());
        assert!(found.signers(&[]).is_err());
        for other in [
            Found { version: "1.1".into(), ..found.clone() },
            Found { function: "g".into(), ..found.clone() },
            Found { sha256: Digest::of(b"other").to_string(), ..found.clone() },
            Found { signature: String::new(), ..found.clone() },
        ] {
            assert!(matches!(other.signers(&trusted), Err(HubFault::Refused(_))), "{other:?}");
        }
    }
}
