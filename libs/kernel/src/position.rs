use std::fmt;

use serde::{Deserialize, Serialize};

/// Where an event stands in its stream. Counts from 0 without gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision(pub u64);

/// Where an event stands in the whole log. Counts from 1 without gaps; 0 is "before everything".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position(pub u64);

/// What the appender believes about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// Nothing was ever written to it.
    NoStream,
    /// Something was written to it.
    Exists,
    /// Its last event has this revision.
    Exactly(Revision),
}

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);
}

impl Revision {
    /// The revision after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Expected {
    /// The expectation of somebody who loaded a stream and saw this last revision.
    pub fn after(last: Option<Revision>) -> Self {
        last.map_or(Self::NoStream, Self::Exactly)
    }

    /// Whether a stream whose last revision is `last` is as expected.
    pub fn accepts(self, last: Option<Revision>) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => last.is_none(),
            Self::Exists => last.is_some(),
            Self::Exactly(revision) => last == Some(revision),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any revision"),
            Self::NoStream => f.write_str("no stream"),
            Self::Exists => f.write_str("an existing stream"),
            Self::Exactly(revision) => write!(f, "revision {revision}"),
        }
    }
}
