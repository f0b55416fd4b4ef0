use std::fmt;
use std::str::FromStr;

use crate::hash::{Hash, HashFault};

/// How large a log is and what the root of its tree is (C2SP tlog-checkpoint): the text of the note that its log signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Names the log, for ever.
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// Why a text is no checkpoint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    #[error("not a checkpoint: {0}")]
    Malformed(&'static str),
    #[error("the checkpoint's root is {0}")]
    Root(#[from] HashFault),
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointFault;

    /// Lines below the third are others' extensions, and passed over.
    fn from_str(text: &str) -> Result<Self, CheckpointFault> {
        let mut lines = text.split('\n');
        let mut next = || lines.next().filter(|line| !line.is_empty());
        let origin = next().ok_or(CheckpointFault::Malformed("there is no origin"))?.to_owned();
        let size = next().and_then(decimal).ok_or(CheckpointFault::Malformed("its size is no number"))?;
        let root = next().ok_or(CheckpointFault::Malformed("there is no root"))?.parse()?;
        Ok(Self { origin, size, root })
    }
}

/// A number without a second spelling.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
