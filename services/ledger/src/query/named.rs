//! Searching by the parts of names.
//!
//! What it may cost is bounded before anything is searched: a word that stands for more names than [`NAMES_MAX`] is
//! refused, so the rarest word is at most so many searches by an index. Further words filter what these find, as any two
//! filters together do.

use cairn_kernel::{Code, Description, Fault, Name};
use rusqlite::{Connection, params};

use crate::scope::Scope;

/// Most names that one word of a query may stand for.
const NAMES_MAX: usize = 64;
/// Most words of a query.
const WORDS_MAX: usize = 8;

/// A name that a word of a query stands for, and what rows have it as.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub id: i64,
    /// It names a resource: what lies below it is meant too.
    pub resource: Option<Name>,
    pub is_principal: bool,
    pub is_action: bool,
}

/// Why a query is not searched for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryTooBroad {
    #[error("{word:?} begins parts of more than {NAMES_MAX} names")]
    Word { word: String },
    #[error("the query has {0} words; it may have {WORDS_MAX}")]
    Words(usize),
}

impl Fault for QueryTooBroad {
    const DOMAIN: &'static str = "ledger.cairn";

    fn describe(&self) -> Description {
        let metadata = match self {
            Self::Word { word } => vec![("word", word.clone()), ("limit", NAMES_MAX.to_string())],
            Self::Words(words) => vec![("words", words.to_string()), ("limit", WORDS_MAX.to_string())],
        };
        (Code::InvalidArgument, "QUERY_TOO_BROAD", metadata)
    }
}

/// What each word of a query stands for, the fewest first: they are what is searched by, the others only filter.
pub(super) fn resolve(
    connection: &Connection,
    words: &[String],
) -> Result<Result<Vec<Vec<Named>>, QueryTooBroad>, rusqlite::Error> {
    if words.len() > WORDS_MAX {
        return Ok(Err(QueryTooBroad::Words(words.len())));
    }
    let mut all = vec![];
    for word in words {
        let names = names(connection, word)?;
        if names.len() > NAMES_MAX {
            return Ok(Err(QueryTooBroad::Word { word: word.clone() }));
        }
        all.push(names);
    }
    all.sort_by_key(Vec::len);
    Ok(Ok(all))
}

fn names(connection: &Connection, word: &str) -> Result<Vec<Named>, rusqlite::Error> {
    let sql = "SELECT id, text, \
               EXISTS (SELECT 1 FROM entry WHERE principal = word.id), EXISTS (SELECT 1 FROM entry WHERE action = word.id) \
               FROM word WHERE id IN (SELECT DISTINCT word FROM part WHERE text >= ?1 AND text < ?2 LIMIT ?3)";
    let mut find = connection.prepare_cached(sql)?;
    let limit = i64::try_from(NAMES_MAX + 1).unwrap_or(i64::MAX);
    let rows = find.query_map(params![word, behind(word), limit], |row| {
        let text: String = row.get(1)?;
        let resource = text.contains('/').then(|| text.parse().ok()).flatten();
        Ok(Named { id: row.get(0)?, resource, is_principal: row.get(2)?, is_action: row.get(3)? })
    })?;
    rows.collect()
}

/// What is sorted behind every text that begins with `word`: no letter of a part is as high.
fn behind(word: &str) -> String {
    format!("{word}{}", char::MAX)
}

/// What a scope and all below a name have in common. An exact scope has nothing below its own names.
pub(super) fn shared(scope: &Scope, name: &Name, is_exact: bool) -> Vec<Name> {
    let shared = |within: &Name| {
        if !is_exact && within.covers(name) { Some(name.clone()) } else { name.covers(within).then(|| within.clone()) }
    };
    scope.0.iter().filter_map(shared).collect()
}
