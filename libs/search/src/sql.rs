//! SQL in which every word of a caller is a bound parameter.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::condition::Text;

/// A statement being written: text of ours, and values of theirs.
#[derive(Debug, Default)]
pub struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    /// Adds text of ours.
    ///
    /// INVARIANT: `'static` or made of it; nothing a caller wrote ever comes this way.
    pub fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a value.
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.text.push('?');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// Adds what is asked of a column that is not null, unless the question is whether it is.
    pub fn text(&mut self, column: &str, text: &Text) -> &mut Self {
        match text {
            Text::Eq(value) => self.push(column).push(" = ").bind(value.clone()),
            Text::Ne(value) => self.push(column).push(" <> ").bind(value.clone()),
            Text::Like(pattern) => self.like(column, pattern),
            Text::ILike(pattern) => self.push(column).push(" LIKE ").bind(pattern.clone()),
            Text::In(values) => self.push(column).push(" IN ").list(values),
            Text::NotIn(values) => self.push(column).push(" NOT IN ").list(values),
            Text::IsNull => self.push(column).push(" IS NULL"),
            Text::IsNotNull => self.push(column).push(" IS NOT NULL"),
        }
    }

    /// Adds that a column fits a pattern, and between what it lies if that is known: SQLite, which is told not to plan by what
    /// is bound, would not look that up in an index by itself.
    fn like(&mut self, column: &str, pattern: &str) -> &mut Self {
        let prefix: String = pattern.chars().take_while(|c| !matches!(c, '%' | '_')).collect();
        if let Some(end) = successor(&prefix) {
            self.push(column).push(" >= ").bind(prefix).push(" AND ");
            self.push(column).push(" < ").bind(end).push(" AND ");
        }
        self.push(column).push(" GLOB ").bind(glob(pattern))
    }

    /// Adds a list of texts.
    pub fn list(&mut self, values: &[String]) -> &mut Self {
        let json = serde_json::to_string(values).unwrap_or_default();
        self.push("(SELECT value FROM json_each(").bind(json).push("))")
    }

    /// Adds a list of numbers of ours.
    pub fn ids(&mut self, ids: &[i64]) -> &mut Self {
        let json = serde_json::to_string(ids).unwrap_or_default();
        self.push("(SELECT value FROM json_each(").bind(json).push("))")
    }

    /// Carries it out, one `T` for each row.
    pub fn rows<T>(
        &self,
        db: &Connection,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut statement = db.prepare_cached(&self.text)?;
        statement.query_map(rusqlite::params_from_iter(&self.values), read)?.collect()
    }
}

/// The first text behind all that begin so. `None`: none is.
fn successor(prefix: &str) -> Option<String> {
    let mut head = prefix.to_owned();
    while let Some(last) = head.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            head.push(next);
            return Some(head);
        }
    }
    None
}

/// A `LIKE` pattern as a `GLOB` pattern: SQLite's `LIKE` does not tell upper from lower case, and its `GLOB` does.
pub fn glob(pattern: &str) -> String {
    let mut glob = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '*' | '?' | '[' => {
                glob.push('[');
                glob.push(c);
                glob.push(']');
            }
            _ => glob.push(c),
        }
    }
    glob
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_so_lies_before_the_successor() {
        assert_eq!(successor("ab").as_deref(), Some("ac"));
        assert_eq!(successor("a\u{d7ff}").as_deref(), Some("a\u{e000}"), "there is nothing between");
        assert_eq!(successor("a\u{10ffff}\u{10ffff}").as_deref(), Some("b"));
        assert_eq!((successor(""), successor("\u{10ffff}")), (None, None));
    }

    #[test]
    fn a_pattern_with_a_beginning_is_looked_up_in_an_index() {
        let db = Connection::open_in_memory().unwrap();
        db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
        db.execute_batch("CREATE TABLE t (a TEXT PRIMARY KEY) WITHOUT ROWID, STRICT").unwrap();
        for name in ["fraud", "fraud-eu", "Fraud", "frau", "frauf", "fraud\u{10ffff}x"] {
            db.execute("INSERT INTO t VALUES (?1)", [name]).unwrap();
        }
        let mut sql = Sql::default();
        sql.push("SELECT a FROM t WHERE ").text("a", &Text::Like("fraud%".into()));
        let found = sql.rows(&db, |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(found, ["fraud", "fraud-eu", "fraud\u{10ffff}x"]);
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {}", sql.text)).unwrap();
        let steps: Vec<String> = plan
            .query_map(rusqlite::params_from_iter(&sql.values), |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(steps[0].starts_with("SEARCH"), "{steps:?}");
    }
}
