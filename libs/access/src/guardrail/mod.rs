//! Guardrails: what an organization forbids, whatever roles give. Policies in Cedar that only ever forbid.
//!
//! They restrict what the table allows and never give anything. A policy that reads what is not known at the moment of
//! the decision cannot be evaluated, and forbids: never is one skipped.

mod ask;
mod known;
mod policy;
mod schema;
mod template;

pub use ask::Forbidden;
pub use known::{Known, Moving};
pub use policy::{POLICY_BYTES_MAX, check};
pub use schema::schema;
pub use template::{TEMPLATES, Template, expand};

pub(crate) use ask::ask;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use cairn_contract::Contract;
use cairn_contract::cairn::options::v1::Guarded;
use cedar_policy::{PolicyId, PolicySet};

/// The guardrails of one organization, compiled: once for each change, not for each decision.
#[derive(Clone, Debug)]
pub(crate) struct Guardrails {
    policies: PolicySet,
    /// Size of each policy's text, by the guardrail's name.
    sizes: BTreeMap<String, usize>,
    /// Those that this version cannot read. What they would forbid is not known, so they forbid everything.
    unreadable: BTreeSet<String>,
}

impl Default for Guardrails {
    fn default() -> Self {
        Self { policies: policy::permitting(), sizes: BTreeMap::new(), unreadable: BTreeSet::new() }
    }
}

impl Guardrails {
    /// Takes over a guardrail, in place of the one of this name before.
    pub fn set(&mut self, name: String, text: &str) {
        self.remove(&name);
        let is_read = policy::compile(&name, text).is_some_and(|policy| self.policies.add(policy).is_ok());
        if !is_read {
            self.unreadable.insert(name.clone());
        }
        self.sizes.insert(name, text.len());
    }

    pub fn remove(&mut self, name: &str) {
        self.sizes.remove(name);
        if !self.unreadable.remove(name) {
            // Not there the first time.
            let _ = self.policies.remove_static(PolicyId::new(name));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// How many there are beside one, and how many bytes their policies have.
    pub fn beside(&self, name: &str) -> (usize, usize) {
        let others = self.sizes.iter().filter(|(other, _)| *other != name);
        others.fold((0, 0), |(count, bytes), (_, size)| (count + 1, bytes + size))
    }
}

/// Who asks guardrails before a right is used.
pub(crate) fn guarded(permission: &str) -> Guarded {
    words().get(permission).copied().unwrap_or(Guarded::Unspecified)
}

/// The rights that guardrails are asked about. A contract that does not load has none; the process does not start with
/// one anyway.
fn words() -> &'static BTreeMap<&'static str, Guarded> {
    static WORDS: LazyLock<BTreeMap<&'static str, Guarded>> =
        LazyLock::new(|| Contract::embedded().map(Contract::guarded_permissions).unwrap_or_default());
    &WORDS
}

/// Whether what comes into use where is known where a right is used: those of the registry that move something.
fn is_about_moving(permission: &str) -> bool {
    guarded(permission) == Guarded::ByService && permission.starts_with("registry.")
}

#[cfg(test)]
mod spec;
