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
            Text::Like(pattern) => self.push(column).push(" GLOB ").bind(glob(pattern)),
            Text::ILike(pattern) => self.push(column).push(" LIKE ").bind(pattern.clone()),
            Text::In(values) => self.push(column).push(" IN ").list(values),
            Text::NotIn(values) => self.push(column).push(" NOT IN ").list(values),
            Text::IsNull => self.push(column).push(" IS NULL"),
            Text::IsNotNull => self.push(column).push(" IS NOT NULL"),
        }
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
