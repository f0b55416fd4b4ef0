mod conditions;
mod look_up;
mod named;
#[cfg(test)]
mod spec;

use cairn_contract::cairn::ledger::v1::Outcome;
use cairn_kernel::{Position, Time};
use cairn_projection::{QueryFault, ReadModel};
use rusqlite::Connection;

use self::conditions::Conditions;
use self::named::resolve;
pub use self::named::{Named, QueryTooBroad};
use crate::page::Page;
use crate::scope::Scope;

/// Which rows of the journal are wanted. Absent: any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    pub principal: Option<String>,
    pub action: Option<String>,
    pub request: Option<String>,
    pub stream: Option<String>,
    pub category: Option<String>,
    /// Full names; one of them.
    pub kinds: Option<Vec<String>>,
    pub outcome: Option<Outcome>,
    /// Not before, and before.
    pub times: (Option<Time>, Option<Time>),
    /// After the one, and not after the other.
    pub after: Option<Position>,
    pub until: Option<Position>,
    /// Only this very resource, nothing below it.
    pub is_exact: bool,
    pub is_oldest_first: bool,
    /// For each word of a query what it may stand for, as [`Query::named`] gives it.
    pub named: Vec<Vec<Named>>,
}

/// Finds positions in the journal.
#[derive(Clone)]
pub struct Query {
    model: ReadModel,
}

impl Query {
    pub fn new(model: ReadModel) -> Self {
        Self { model }
    }

    /// The positions on a page, and whether there are more behind it.
    pub async fn positions(
        &self,
        scope: Scope,
        wanted: Wanted,
        page: Page,
    ) -> Result<(Vec<Position>, bool), QueryFault> {
        self.model.query(move |connection| positions(connection, &scope, &wanted, page)).await
    }

    /// What the words of a query stand for.
    pub async fn named(&self, words: Vec<String>) -> Result<Result<Vec<Vec<Named>>, QueryTooBroad>, QueryFault> {
        if words.is_empty() {
            return Ok(Ok(vec![]));
        }
        self.model.query(move |connection| resolve(connection, &words)).await
    }
}

fn positions(
    connection: &Connection,
    scope: &Scope,
    wanted: &Wanted,
    page: Page,
) -> Result<(Vec<Position>, bool), rusqlite::Error> {
    let mut found = vec![];
    for base in Conditions::of(connection, wanted, page)? {
        for (base, names) in base.named(wanted, scope) {
            for name in &names {
                for search in base.clone().within(connection, name, wanted.is_exact)? {
                    found.extend(search.run(connection, wanted.is_oldest_first, page.size + 1)?);
                }
            }
        }
    }
    found.sort_unstable();
    // The names of a scope do not overlap, but one row may be found by several of its names.
    found.dedup();
    if !wanted.is_oldest_first {
        found.reverse();
    }
    let has_more = found.len() > page.size;
    found.truncate(page.size);
    Ok((found, has_more))
}
