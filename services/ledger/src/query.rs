use cairn_contract::cairn::ledger::v1::Outcome;
use cairn_kernel::{Name, Position, Time};
use cairn_projection::{QueryFault, ReadModel};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::journal::fingerprint;
use crate::page::Page;
use crate::scope::Scope;

/// Up to so many resources below a name, each is looked up by itself; more are met often enough when walking the log.
const RESOURCES_MAX: usize = 256;

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
    pub after: Option<Position>,
    /// Only this very resource, nothing below it.
    pub is_exact: bool,
    pub is_oldest_first: bool,
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
}

fn positions(
    connection: &Connection,
    scope: &Scope,
    wanted: &Wanted,
    page: Page,
) -> Result<(Vec<Position>, bool), rusqlite::Error> {
    let Some(base) = Conditions::of(connection, wanted, page)? else { return Ok((vec![], false)) };
    let mut found = vec![];
    // The names of a scope do not overlap, so no row is found twice.
    for name in &scope.0 {
        if let Some(conditions) = base.clone().within(connection, name, wanted.is_exact)? {
            found.extend(conditions.run(connection, wanted.is_oldest_first, page.size + 1)?);
        }
    }
    found.sort_unstable();
    if !wanted.is_oldest_first {
        found.reverse();
    }
    let has_more = found.len() > page.size;
    found.truncate(page.size);
    Ok((found, has_more))
}

/// The `WHERE` of one search.
#[derive(Clone, Default)]
struct Conditions {
    sql: Vec<String>,
    values: Vec<Value>,
    /// An index has been chosen: what follows only filters. (`+column` keeps SQLite from choosing another, which it would
    /// do blindly: every journal looks the same to it before it has been searched.)
    is_indexed: bool,
}

impl Conditions {
    /// `None`: no row can fit. The order is that of how few rows a condition usually leaves.
    fn of(connection: &Connection, wanted: &Wanted, page: Page) -> Result<Option<Self>, rusqlite::Error> {
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
        if let Some(kinds) = &wanted.kinds {
            let ids = words(connection, kinds)?;
            if ids.is_empty() {
                return Ok(None);
            }
            conditions.one_of("kind", &ids);
        }
        for (column, text) in texts {
            if let Some(text) = text {
                let Some(id) = word(connection, text)? else { return Ok(None) };
                // Streams and categories have no index: a stream is found by its resource, a category by its kinds.
                let is_indexed = matches!(column, "principal" | "action");
                if is_indexed { conditions.equal(column, id) } else { conditions.filter(column, id) }
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
        Ok(Some(conditions))
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
        if let Some(after) = page.after {
            bound(if wanted.is_oldest_first { ">" } else { "<" }, after);
        }
        Ok(())
    }

    /// Limits resources to those at or below a name. `None`: there are none.
    fn within(mut self, connection: &Connection, name: &Name, is_exact: bool) -> Result<Option<Self>, rusqlite::Error> {
        if name.is_root() && !is_exact {
            return Ok(Some(self));
        }
        if !is_exact && name.segments().count() == 2 && name.project().is_some() {
            let Some(id) = word(connection, name.as_str())? else { return Ok(None) };
            self.equal("project", id);
            return Ok(Some(self));
        }
        let ids = if is_exact {
            word(connection, name.as_str())?.into_iter().collect()
        } else {
            words_below(connection, name.as_str())?
        };
        if ids.is_empty() {
            return Ok(None);
        }
        if ids.len() <= RESOURCES_MAX {
            self.one_of("resource", &ids);
            return Ok(Some(self));
        }
        if let Some(project) = name.project()
            && let Some(id) = word(connection, project.as_str())?
        {
            self.equal("project", id);
        }
        let (low, high) = below(name.as_str());
        self.sql.push("+resource IN (SELECT id FROM word WHERE text = ? OR text > ? AND text < ?)".to_owned());
        self.values.extend([name.as_str().to_owned(), low, high].map(Value::Text));
        Ok(Some(self))
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

    fn one_of(&mut self, column: &str, ids: &[i64]) {
        let plus = if std::mem::replace(&mut self.is_indexed, true) { "+" } else { "" };
        let marks = vec!["?"; ids.len()].join(", ");
        self.sql.push(format!("{plus}{column} IN ({marks})"));
        self.values.extend(ids.iter().map(|id| Value::Integer(*id)));
    }

    fn run(
        self,
        connection: &Connection,
        is_oldest_first: bool,
        limit: usize,
    ) -> Result<Vec<Position>, rusqlite::Error> {
        let conditions = if self.sql.is_empty() { "TRUE".to_owned() } else { self.sql.join(" AND ") };
        let order = if is_oldest_first { "ASC" } else { "DESC" };
        let sql = format!("SELECT position FROM entry WHERE {conditions} ORDER BY position {order} LIMIT {limit}");
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(self.values), |row| {
            row.get::<_, i64>(0).map(|position| Position(position.cast_unsigned()))
        })?;
        rows.collect()
    }
}

/// The number of a text; `None`: no row has it.
fn word(connection: &Connection, text: &str) -> Result<Option<i64>, rusqlite::Error> {
    let mut find = connection.prepare_cached("SELECT id FROM word WHERE text = ?1")?;
    find.query_row([text], |row| row.get(0)).optional()
}

fn words(connection: &Connection, texts: &[String]) -> Result<Vec<i64>, rusqlite::Error> {
    let ids = texts.iter().map(|text| word(connection, text));
    Ok(ids.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The numbers of a name and of what lies below it: at most one more than is looked up one by one.
fn words_below(connection: &Connection, name: &str) -> Result<Vec<i64>, rusqlite::Error> {
    let sql = "SELECT id FROM word WHERE text = ?1 OR text > ?2 AND text < ?3 LIMIT ?4";
    let (low, high) = below(name);
    let mut find = connection.prepare_cached(sql)?;
    let limit = i64::try_from(RESOURCES_MAX + 1).unwrap_or(i64::MAX);
    find.query_map((name, low, high, limit), |row| row.get(0))?.collect()
}

/// Between these lies every name below `name`: `0` is the character after `/`.
fn below(name: &str) -> (String, String) {
    (format!("{name}/"), format!("{name}0"))
}

/// The first position at or after a moment; behind the last one if there is none.
fn first_since(connection: &Connection, time: Time) -> Result<Position, rusqlite::Error> {
    let last: Option<i64> = connection.query_row("SELECT max(position) FROM entry", [], |row| row.get(0))?;
    let mut at_or_after =
        connection.prepare_cached("SELECT time_micros FROM entry WHERE position >= ?1 ORDER BY position LIMIT 1")?;
    let (mut low, mut high) = (1, last.unwrap_or(0) + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let found: i64 = at_or_after.query_row([middle], |row| row.get(0))?;
        if found < time.micros() { low = middle + 1 } else { high = middle }
    }
    Ok(Position(low.cast_unsigned()))
}
