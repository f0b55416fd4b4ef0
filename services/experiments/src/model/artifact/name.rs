use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use cairn_kernel::{Aggregate, Name, NameFault, StreamName, newtype};

use super::Artifact;
use crate::model::{LoggedModelName, ProjectName, RunName};

/// Longest path, in bytes.
const PATH_BYTES_MAX: usize = 1000;
/// Longest part of a path, in bytes: what file systems take.
const SEGMENT_BYTES_MAX: usize = 255;

newtype!(
    /// Where an artifact lies below its owner. Cannot lead out of it: no part is empty, `.` or `..`, and none contains
    /// a backslash or a control character.
    ArtifactPath,
    "artifact path (parts joined by '/', none of them empty, '.' or '..', without backslashes and control characters)",
    is_path
);

fn is_path(text: &str) -> bool {
    let is_plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.len() <= SEGMENT_BYTES_MAX
            && !segment.chars().any(|letter| letter.is_control() || letter == '\\')
    };
    text.len() <= PATH_BYTES_MAX && text.split('/').all(is_plain)
}

impl ArtifactPath {
    /// Its last part.
    pub fn file_name(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }

    /// The id it has in an artifact's name: a path may contain what a name may not.
    pub fn id(&self) -> String {
        hex::encode(&digest::digest(&digest::SHA256, self.as_str().as_bytes()).as_ref()[..16])
    }
}

/// What artifacts belong to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    Run(RunName),
    LoggedModel(LoggedModelName),
}

impl Owner {
    /// The resource name.
    pub fn name(&self) -> &Name {
        match self {
            Self::Run(run) => run.name(),
            Self::LoggedModel(model) => model.name(),
        }
    }

    /// The resource name as text.
    pub fn as_str(&self) -> &str {
        self.name().as_str()
    }

    /// The project it lies in.
    pub fn project(&self) -> ProjectName {
        match self {
            Self::Run(run) => run.parent().parent(),
            Self::LoggedModel(model) => model.parent().parent(),
        }
    }

    /// The resource name of the artifact with this id.
    pub fn artifact(&self, id: &str) -> Result<ArtifactName, NameFault> {
        Ok(ArtifactName { owner: self.clone(), name: self.name().child("artifacts", id)? })
    }

    /// The stream of one artifact. It leaves the experiment out, as its owner's does.
    pub fn artifact_stream(&self, path: &ArtifactPath) -> StreamName {
        let id = path.id();
        match self {
            Self::Run(run) => StreamName::of(
                Artifact::CATEGORY,
                format_args!("projects/{}/runs/{}/artifacts/{id}", run.project(), run.run()),
            ),
            Self::LoggedModel(model) => StreamName::of(
                Artifact::CATEGORY,
                format_args!("projects/{}/loggedModels/{}/artifacts/{id}", model.project(), model.model()),
            ),
        }
    }
}

impl FromStr for Owner {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        if let Ok(run) = text.parse() {
            return Ok(Self::Run(run));
        }
        let model = text.parse().map(Self::LoggedModel);
        model.map_err(|_| NameFault::invalid("name of a run or logged model", text))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// An artifact's resource name. Its id is made from its path and does not tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactName {
    owner: Owner,
    name: Name,
}

impl ArtifactName {
    /// The run or logged model it belongs to.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Its id.
    pub fn artifact(&self) -> &str {
        self.name.segments().next_back().unwrap_or_default()
    }
}

impl FromStr for ArtifactName {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        let invalid = || NameFault::invalid("artifact name", text);
        let (owner, id) = text.rsplit_once("/artifacts/").ok_or_else(invalid)?;
        owner.parse::<Owner>().and_then(|owner| owner.artifact(id)).map_err(|_| invalid())
    }
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}
