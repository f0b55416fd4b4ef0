//! Whose tree: the whole log's, or that of one organization, which has the events of its projects and its own.

use std::fmt;

use cairn_kernel::Name;
use rusqlite::{Connection, OptionalExtension};

/// A tree of the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Of(pub(super) i64);

impl Of {
    pub const LOG: Self = Self(0);
}

/// Whose log is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    Everybodys,
    Organization(Name),
}

impl Whose {
    /// Its tree. `None`: no such organization is known.
    pub fn find(&self, connection: &Connection) -> Result<Option<Of>, rusqlite::Error> {
        let Self::Organization(name) = self else { return Ok(Some(Of::LOG)) };
        let mut find = connection.prepare_cached("SELECT tree FROM organization WHERE name = ?1")?;
        find.query_row([name.as_str()], |row| row.get(0).map(Of)).optional()
    }

    /// What it is signed as in an epoch of this name.
    pub fn origin(&self, epoch: &str) -> String {
        match self {
            Self::Everybodys => epoch.to_owned(),
            // The name of a key has no plus sign.
            Self::Organization(name) => format!("{epoch}/{}", name.as_str().replace('+', "%2B")),
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybodys => f.write_str("the log"),
            Self::Organization(name) => write!(f, "the log of {name}"),
        }
    }
}

/// The trees of organizations and their sizes.
pub fn organizations(connection: &Connection) -> Result<Vec<(Name, u64)>, rusqlite::Error> {
    let mut find = connection.prepare_cached("SELECT name, size FROM organization ORDER BY tree")?;
    let named = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?));
    let found = find.query_map([], named)?.collect::<Result<Vec<_>, _>>()?;
    // The view writes names only.
    Ok(found.into_iter().filter_map(|(name, size)| Some((name.parse().ok()?, size))).collect())
}
