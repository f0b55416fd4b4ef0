//! Whose signatures over the files of versions count in a project or for a model, and whether there must be one.

mod fault;
mod judge;
#[cfg(test)]
mod spec;
mod trust;

use std::sync::Arc;

use cairn_kernel::{Aggregate, StreamName};
use cairn_modelsig::PublicKey;

use super::{ModelName, PolicyScope, registered};

pub use fault::Rejection;
pub use judge::{Found, SignatureFile, judge};
pub use trust::{Trust, TrustedBy};

/// Most keys of one policy: a signature that names none is held against each.
pub const KEYS_MAX: usize = 32;
/// The collection that policies are named in.
pub const POLICIES: &str = "signingPolicies";

/// A policy as its events left it. One without events trusts nobody and asks for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SigningPolicy {
    pub keys: Arc<Vec<TrustedKey>>,
    pub is_required: bool,
}

/// A key, and what people call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    pub name: String,
    pub key: PublicKey,
}

/// Sets a policy as a whole.
#[derive(Clone, Debug)]
pub struct Command {
    pub scope: PolicyScope,
    pub keys: Arc<Vec<TrustedKey>>,
    pub is_required: bool,
}

/// The policy is another.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub scope: PolicyScope,
    pub keys: Arc<Vec<TrustedKey>>,
    pub is_required: bool,
}

impl Aggregate for SigningPolicy {
    const CATEGORY: &'static str = "registry.signing";
    type Command = Command;
    type Event = Event;
    type Rejection = registered::Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Self::Rejection> {
        let Command { scope, keys, is_required } = command;
        if self.keys == keys && self.is_required == is_required {
            return Ok(vec![]);
        }
        Ok(vec![Event { scope, keys, is_required }])
    }

    fn evolve(&mut self, event: &Event) {
        self.keys = Arc::clone(&event.keys);
        self.is_required = event.is_required;
    }
}

impl PolicyScope {
    /// The stream of its signing policy. A model's outlives the model, so that nobody sheds it by deleting the model.
    pub fn signing_stream(&self) -> StreamName {
        StreamName::of(SigningPolicy::CATEGORY, self.name())
    }
}

impl ModelName {
    /// The policies that hold for it: its project's, to which its own adds.
    pub fn signing_scopes(&self) -> [PolicyScope; 2] {
        [PolicyScope::Project(self.parent()), PolicyScope::Model(self.clone())]
    }
}
