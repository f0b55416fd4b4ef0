use cairn_contract::cairn::ledger::v1::Outcome;
use cairn_kernel::{Name, Position};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::Wanted;
use super::look_up::{below, first_since, word, words, words_below};
use super::named::{Named, shared};
use crate::journal::fingerprint;
use crate::page::Page;
use crate::scope::Scope;

/// Up to so many resources below a name, each is looked up by itself; more are met often enough when walking the log.
const RESOURCES_MAX: usize = 256;

/// A name at or below another.
const BELOW: &str = "text = ? OR text > ? AND text < ?";
/// A row whose resource is so.
const EXISTS_BELOW: &str = "EXISTS (SELECT 1 FROM word WHERE id = entry.resource AND ({below}))";

/// The `WHERE` of one search.
#[derive(Clone, Default)]
pub(super) struct Conditions {
    sql: Vec<String>,
    values: Vec<Value>,
    /// An index has been chosen: what follows only filters. (`+column` keeps SQLite from choosing another, which it would
    /// do blindly: every journal looks the same to it before it has been searched.)
    is_indexed: bool,
}

impl Conditions {
    /// One search, or several that find different rows; none, if no row can fit. The order is that of how few rows a
    /// condition usually leaves.
    pub fn of(connection: &Connection, wanted: &Wanted, page: Page) -> Result<Vec<Self>, rusqlite::Error> {
        let mut conditions = Self::default();
        if let Some(request) = &wanted.request {
            conditions.equal("request", fingerprint(request));
        }
        let texts = [
            ("stream", &wanted.stream),
            ("principal", &wanted.principal),
            ("action", &wanted.action),
            ("category", &wanted.category),
        ];
        let kinds = wanted.kinds.as_ref().map(|kinds| words(connection, kinds)).transpose()?;
        if let Some(id) = kinds.as_deref().and_then(only) {
            conditions.equal("kind", id);
        }
        for (column, text) in texts {
            if let Some(text) = text {
                let Some(id) = word(connection, text)? else { return Ok(vec![]) };
                // A category has no index: it is found by its kinds.
                if column == "category" { conditions.filter(column, id) } else { conditions.equal(column, id) }
            }
        }
        if let Some(outcome) = wanted.outcome {
            let outcome = outcome as i64;
            // The index holds only what was not committed.
            if outcome == Outcome::Committed as i64 {
                conditions.filter("outcome", outcome);
            } else {
                conditions.sql.push("outcome <> 1".to_owned());
                conditions.equal("outcome", outcome);
            }
        }
        conditions.between(connection, wanted, page)?;
        Ok(match kinds.filter(|kinds| only(kinds).is_none()) {
            Some(kinds) => conditions.one_of("kind", &kinds),
            None => vec![conditions],
        })
    }

    /// Limits positions. Times become positions by halving: they never run backwards along them.
    fn between(&mut self, connection: &Connection, wanted: &Wanted, page: Page) -> Result<(), rusqlite::Error> {
        let (from, to) = wanted.times;
        let mut bound = |comparison: &str, position: Position| {
            self.sql.push(format!("position {comparison} ?"));
            self.values.push(Value::Integer(position.0.cast_signed()));
        };
        if let Some(from) = from {
            bound(">=", first_since(connection, from)?);
        }
        if let Some(to) = to {
            bound("<", first_since(connection, to)?);
        }
        if let Some(after) = wanted.after {
            bound(">", after);
        }
        if let Some(until) = wanted.until {
            bound("<=", until);
        }
        if let Some(after) = page.after {
            bound(if wanted.is_oldest_first { ">" } else { "<" }, after);
        }
        Ok(())
    }

    /// Limits resources to those at or below a name.
    pub fn within(
        mut self,
        connection: &Connection,
        name: &Name,
        is_exact: bool,
    ) -> Result<Vec<Self>, rusqlite::Error> {
        if name.is_root() && !is_exact {
            return Ok(vec![self]);
        }
        if !is_exact && name.segments().count() == 2 && name.project().is_some() {
            let Some(id) = word(connection, name.as_str())? else { return Ok(vec![]) };
            self.equal("project", id);
            return Ok(vec![self]);
        }
        let ids = if is_exact {
            word(connection, name.as_str())?.into_iter().collect()
        } else {
            words_below(connection, name.as_str(), RESOURCES_MAX + 1)?
        };
        if ids.len() <= RESOURCES_MAX {
            return Ok(self.one_of("resource", &ids));
        }
        if let Some(project) = name.project()
            && let Some(id) = word(connection, project.as_str())?
        {
            self.equal("project", id);
        }
        // Asked of each row that is met: a list of all names below would be made before the first row is looked at.
        let (low, high) = below(name.as_str());
        self.sql.push(EXISTS_BELOW.replace("{below}", BELOW));
        self.values.extend([name.as_str().to_owned(), low, high].map(Value::Text));
        Ok(vec![self])
    }

    /// A search for each thing that the first word of a query may stand for, and where it looks; the other words only
    /// filter.
    pub fn named(mut self, wanted: &Wanted, scope: &Scope) -> Vec<(Self, Vec<Name>)> {
        let Some((first, others)) = wanted.named.split_first() else { return vec![(self, scope.0.clone())] };
        for names in others {
            self.one_of_names(names);
        }
        let mut searches = vec![];
        for name in first {
            for (column, is_one) in [("principal", name.is_principal), ("action", name.is_action)] {
                if is_one {
                    let mut search = self.clone();
                    search.equal(column, name.id);
                    searches.push((search, scope.0.clone()));
                }
            }
            if let Some(resource) = &name.resource {
                searches.push((self.clone(), shared(scope, resource, wanted.is_exact)));
            }
        }
        searches
    }

    /// Limits rows to those that have one of some names.
    fn one_of_names(&mut self, names: &[Named]) {
        let mut either = vec![];
        for (column, has) in
            [("principal", (|name| name.is_principal) as fn(&Named) -> bool), ("action", |name| name.is_action)]
        {
            let ids: Vec<_> = names.iter().filter(|name| has(name)).map(|name| Value::Integer(name.id)).collect();
            if !ids.is_empty() {
                either.push(format!("+{column} IN ({})", vec!["?"; ids.len()].join(", ")));
                self.values.extend(ids);
            }
        }
        let resources: Vec<_> = names.iter().filter_map(|name| name.resource.as_ref()).collect();
        if !resources.is_empty() {
            either.push(EXISTS_BELOW.replace("{below}", &vec![BELOW; resources.len()].join(" OR ")));
            for resource in resources {
                let (low, high) = below(resource.as_str());
                self.values.extend([resource.as_str().to_owned(), low, high].map(Value::Text));
            }
        }
        self.sql.push(if either.is_empty() { "FALSE".to_owned() } else { format!("({})", either.join(" OR ")) });
    }

    fn equal(&mut self, column: &str, value: i64) {
        let plus = if std::mem::replace(&mut self.is_indexed, true) { "+" } else { "" };
        self.sql.push(format!("{plus}{column} = ?"));
        self.values.push(Value::Integer(value));
    }

    fn filter(&mut self, column: &str, value: i64) {
        self.sql.push(format!("+{column} = ?"));
        self.values.push(Value::Integer(value));
    }

    /// A search for each id, if this is what chooses the index: the rows of several would have to be sorted, however
    /// many there are, before the first could be shown. Otherwise it only filters.
    fn one_of(mut self, column: &str, ids: &[i64]) -> Vec<Self> {
        if !self.is_indexed {
            let search = |id: &i64| {
                let mut search = self.clone();
                search.equal(column, *id);
                search
            };
            return ids.iter().map(search).collect();
        }
        if ids.is_empty() {
            return vec![];
        }
        let marks = vec!["?"; ids.len()].join(", ");
        self.sql.push(format!("+{column} IN ({marks})"));
        self.values.extend(ids.iter().map(|id| Value::Integer(*id)));
        vec![self]
    }

    pub fn run(
        self,
        connection: &Connection,
        is_oldest_first: bool,
        limit: usize,
    ) -> Result<Vec<Position>, rusqlite::Error> {
        let mut statement = connection.prepare_cached(&self.statement(is_oldest_first, limit))?;
        let rows = statement.query_map(params_from_iter(self.values), |row| {
            row.get::<_, i64>(0).map(|position| Position(position.cast_unsigned()))
        })?;
        rows.collect()
    }

    pub fn statement(&self, is_oldest_first: bool, limit: usize) -> String {
        let conditions = if self.sql.is_empty() { "TRUE".to_owned() } else { self.sql.join(" AND ") };
        let order = if is_oldest_first { "ASC" } else { "DESC" };
        format!("SELECT position FROM entry WHERE {conditions} ORDER BY position {order} LIMIT {limit}")
    }
}

/// The only one there is.
fn only(ids: &[i64]) -> Option<i64> {
    match ids {
        [id] => Some(*id),
        _ => None,
    }
}
