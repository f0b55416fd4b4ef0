use std::fmt;
use std::str::FromStr;

use cairn_kernel::{Aggregate, Name, NameFault, StreamName, newtype, resource_name};

use super::Function;
use crate::model::ProjectName;

/// Longest id of a function and longest version, in bytes.
const ID_BYTES_MAX: usize = 63;
/// What stands for the version published last.
pub const LATEST: &str = "latest";

resource_name!(
    /// A function.
    FunctionName,
    "function name",
    "projects/*/functions/*",
    project,
    function
);

newtype!(
    /// The last part of a function's name.
    FunctionId,
    "function id (1 to 63 letters, digits, `-`, `_` and `.`, beginning with a letter or digit)",
    |text| is_id(text, "-_.")
);

newtype!(
    /// What a published version is called.
    VersionId,
    "version (1 to 63 letters, digits, `-`, `_`, `.` and `+`, beginning with a letter or digit; not `latest`)",
    |text| is_id(text, "-_.+") && text != LATEST
);

fn is_id(text: &str, others: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    text.len() <= ID_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(is_plain)
}

impl FunctionName {
    /// The project it lies in.
    pub fn parent(&self) -> ProjectName {
        ProjectName::new(self.project()).expect("part of a valid name")
    }

    /// Its stream.
    pub fn stream(&self) -> StreamName {
        StreamName::of(Function::CATEGORY, self)
    }

    /// The name of a version of it.
    pub fn version(&self, version: &VersionId) -> FunctionVersionName {
        FunctionVersionName { function: self.clone(), version: version.clone() }
    }
}

impl ProjectName {
    /// The function of this id.
    pub fn function(&self, function: &FunctionId) -> FunctionName {
        FunctionName::new(self.project(), function.as_str()).expect("an id is a segment")
    }
}

/// A published version: `projects/{project}/functions/{function}/versions/{version}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionVersionName {
    pub function: FunctionName,
    pub version: VersionId,
}

impl FunctionVersionName {
    /// What a publisher signs to vouch for a package as this version: function, version and digest, so that no
    /// signature can be moved to another of them. The project is not in it: a package keeps its signature when another
    /// hub takes it over.
    pub fn statement(&self, sha256: &str) -> String {
        statement(self.function.function(), self.version.as_str(), sha256)
    }
}

/// The text that is signed, the same for every hub.
pub fn statement(function: &str, version: &str, sha256: &str) -> String {
    format!("cairn function package\n{function}\n{version}\nsha256:{sha256}\n")
}

impl FromStr for FunctionVersionName {
    type Err = NameFault;

    /// `latest` is read too: it stands for one of them.
    fn from_str(text: &str) -> Result<Self, NameFault> {
        let invalid = || NameFault::invalid("function version name", text);
        let name: Name = text.parse().map_err(|_| invalid())?;
        let ids = name.matches("projects/*/functions/*/versions/*").ok_or_else(invalid)?;
        let function = FunctionName::new(ids[0], ids[1])?;
        Ok(Self { function, version: VersionId::stored(ids[2]) })
    }
}

impl fmt::Display for FunctionVersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/versions/{}", self.function, self.version)
    }
}
