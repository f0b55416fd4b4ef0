use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_kernel::Revision;

use super::SigningPolicy;
use crate::model::PolicyScope;

/// Whose signatures count at some moment, by the fingerprints of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust(Arc<BTreeMap<String, TrustedBy>>);

/// Which event of which policy says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedBy {
    pub scope: PolicyScope,
    pub revision: Revision,
}

impl Trust {
    /// By these policies, each as it is since an event of its own; without one it was never set. A key in several is
    /// trusted by the first.
    pub fn by(policies: impl IntoIterator<Item = (PolicyScope, Arc<SigningPolicy>, Option<Revision>)>) -> Self {
        let mut trusted = BTreeMap::new();
        for (scope, policy, revision) in policies {
            let Some(revision) = revision else { continue };
            for key in policy.keys.iter() {
                let by = || TrustedBy { scope: scope.clone(), revision };
                trusted.entry(key.key.fingerprint()).or_insert_with(by);
            }
        }
        Self(Arc::new(trusted))
    }

    /// Who trusts a key.
    pub fn of(&self, fingerprint: &str) -> Option<&TrustedBy> {
        self.0.get(fingerprint)
    }
}
