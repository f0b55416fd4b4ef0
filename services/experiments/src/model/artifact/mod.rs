//! An artifact: a file under a path of a run or logged model. One stream for each path, so that many can be stored at
//! once.

mod fault;
mod name;
#[cfg(test)]
mod spec;

use cairn_kernel::Aggregate;

pub use self::name::{ArtifactName, ArtifactPath, Owner};

/// Most artifacts of one run or logged model.
pub const ARTIFACTS_PER_OWNER_MAX: usize = 20_000;

/// An artifact as its events left it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Artifact {
    /// Whether anything was ever recorded under the path.
    is_known: bool,
    content: Option<Content>,
}

/// What lies under an artifact's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The object that holds the bytes. Each upload has its own.
    pub object_key: String,
    pub size: u64,
    /// SHA-256, hex.
    pub sha256: String,
    pub media_type: String,
}

/// What may be asked of an artifact.
#[derive(Clone, Debug)]
pub enum Command {
    /// Makes stored bytes the artifact, replacing what was.
    Record {
        owner: Owner,
        path: ArtifactPath,
        content: Content,
    },
    Delete {
        owner: Owner,
        path: ArtifactPath,
    },
}

/// What happened to an artifact.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub owner: Owner,
    pub path: ArtifactPath,
    pub change: Change,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Recorded(Content),
    Deleted,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    #[error("{owner} has no artifact {path}")]
    NotFound { owner: Owner, path: ArtifactPath },
}

impl Aggregate for Artifact {
    const CATEGORY: &'static str = "experiments.artifact";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Rejection> {
        match command {
            // The very same object again is a retry.
            Command::Record { content, .. } if self.content.as_ref() == Some(&content) => Ok(vec![]),
            Command::Record { owner, path, content } => {
                Ok(vec![Event { owner, path, change: Change::Recorded(content) }])
            }
            Command::Delete { owner, path } if !self.is_known => Err(Rejection::NotFound { owner, path }),
            Command::Delete { .. } if self.content.is_none() => Ok(vec![]),
            Command::Delete { owner, path } => Ok(vec![Event { owner, path, change: Change::Deleted }]),
        }
    }

    fn evolve(&mut self, event: &Event) {
        self.is_known = true;
        self.content = match &event.change {
            Change::Recorded(content) => Some(content.clone()),
            Change::Deleted => None,
        };
    }
}

impl Artifact {
    /// What lies under the path now.
    pub fn content(&self) -> Option<&Content> {
        self.content.as_ref()
    }
}
