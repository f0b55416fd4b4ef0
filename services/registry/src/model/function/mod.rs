//! A function: what a team runs, as it is described now, and which of its packages were published.

mod document;
mod fault;
mod name;
mod patch;
#[cfg(test)]
mod spec;

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_kernel::Aggregate;
use serde_json::Value;

pub use self::document::{DOCUMENT_BYTES_MAX, Document, LABELS_MAX, Spec};
pub use self::fault::Rejection;
pub use self::name::{FunctionId, FunctionName, FunctionVersionName, LATEST, VersionId, statement};

/// A function as its events left it. One without events, or deleted, does not exist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Function {
    name: Option<FunctionName>,
    /// Counts its states over all lives that its name had.
    revision: u32,
    document: Arc<Document>,
    versions: Arc<BTreeMap<VersionId, Published>>,
}

/// A version that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Published {
    /// Tells one package with all that is said of it from another.
    fingerprint: [u8; 32],
    /// Whether the function was deleted since.
    is_gone: bool,
}

/// What is published as a version. It never changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Package {
    /// What is said of it.
    pub document: Document,
    /// SHA-256 of the archive, hex.
    pub sha256: String,
    pub size: u64,
    /// A signed note over function, version and digest; empty: nobody vouches for it.
    pub signature: String,
    /// The object that holds the archive.
    pub object_key: String,
}

/// What may be asked of a function.
#[derive(Clone, Debug)]
pub enum Command {
    Create {
        name: FunctionName,
        document: Document,
    },
    /// A JSON merge patch over the document.
    Patch(Value),
    Delete,
    Publish {
        version: VersionId,
        package: Arc<Package>,
        versions_max: usize,
    },
}

/// What happened to a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub function: FunctionName,
    pub change: Change,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Created { revision: u32, document: Arc<Document> },
    Revised { revision: u32, document: Arc<Document> },
    Deleted { revision: u32 },
    Published { version: VersionId, package: Arc<Package> },
}

impl Aggregate for Function {
    const CATEGORY: &'static str = "registry.function";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Rejection> {
        if let Command::Create { name, document } = command {
            if self.name.is_some() {
                return Err(Rejection::Exists(name));
            }
            let change = Change::Created { revision: self.revision + 1, document: Arc::new(document) };
            return Ok(vec![Event { function: name, change }]);
        }
        let function = self.name.clone().ok_or(Rejection::NotFound)?;
        let change = match command {
            Command::Create { .. } => None,
            Command::Patch(patch) => {
                let document = self.document.patched(patch).map_err(Rejection::Patch)?;
                let is_other = document != *self.document;
                is_other.then(|| Change::Revised { revision: self.revision + 1, document: Arc::new(document) })
            }
            Command::Delete => Some(Change::Deleted { revision: self.revision + 1 }),
            Command::Publish { version, package, versions_max } => {
                self.publish(&function, version, package, versions_max)?
            }
        };
        Ok(change.into_iter().map(|change| Event { function: function.clone(), change }).collect())
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created { revision, document } | Change::Revised { revision, document } => {
                self.name = Some(event.function.clone());
                self.revision = *revision;
                self.document = Arc::clone(document);
            }
            Change::Deleted { revision } => {
                self.name = None;
                self.revision = *revision;
                self.document = Arc::default();
                Arc::make_mut(&mut self.versions).values_mut().for_each(|version| version.is_gone = true);
            }
            Change::Published { version, package } => {
                let published = Published { fingerprint: package.fingerprint(), is_gone: false };
                Arc::make_mut(&mut self.versions).insert(version.clone(), published);
            }
        }
    }
}

impl Function {
    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.name.is_some()
    }

    /// INVARIANT: a version is given once. What was published under it is never replaced, not even after its function
    /// was deleted and made again: somebody may still have it.
    fn publish(
        &self,
        function: &FunctionName,
        version: VersionId,
        package: Arc<Package>,
        versions_max: usize,
    ) -> Result<Option<Change>, Rejection> {
        match self.versions.get(&version) {
            Some(known) if !known.is_gone && known.fingerprint == package.fingerprint() => Ok(None),
            Some(_) => Err(Rejection::VersionExists { function: function.clone(), version }),
            None if self.versions.len() >= versions_max => {
                Err(Rejection::Full { function: function.clone(), limit: versions_max })
            }
            None => Ok(Some(Change::Published { version, package })),
        }
    }
}

impl Package {
    /// Two packages have the same only if they are the same and the same is said of them.
    fn fingerprint(&self) -> [u8; 32] {
        let Self { document, sha256, signature, size: _, object_key: _ } = self;
        let text = serde_json::json!([document.to_json(), sha256, signature]).to_string();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        digest.as_ref().try_into().expect("a SHA-256 has 32 bytes")
    }
}
