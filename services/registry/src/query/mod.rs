//! Reads the read models, and only them.

#[cfg(test)]
mod growth;
mod models;
mod promotions;
mod sources;
mod summary;
mod versions;
mod visible;

use cairn_projection::{QueryFault, ReadModel};
use cairn_search::{Column, SearchFault, Sql, Text};
use rusqlite::{Connection, ToSql, params};

pub use self::models::{ModelPage, ModelRecord, ModelSearch};
pub use self::promotions::{ApprovalRecord, PolicyRecord, PromotionPage, PromotionRecord, PromotionState};
pub use self::sources::{SourceModel, SourceRun};
pub use self::summary::Summary;
pub use self::versions::{VersionPage, VersionRecord, VersionSearch};
pub use self::visible::Visible;

/// Rows that a value of a tag may have and still be where a search begins. Beyond it, the search walks in its order and
/// looks at each row's tag: what so many rows have is soon met.
const RARE_ROWS_MAX: i64 = 1000;

/// Answers questions from the read models. Cheap to clone.
#[derive(Clone)]
pub struct Query {
    model: ReadModel,
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error(transparent)]
    Search(#[from] SearchFault),
    #[error(transparent)]
    Query(#[from] QueryFault),
}

impl Query {
    /// Over the tables of this service.
    pub fn new(model: ReadModel) -> Self {
        Self { model }
    }

    async fn ask<T, F>(&self, question: F) -> Result<T, QueryFault>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.model.query(question).await
    }
}

/// Which tags are asked for, and where they stand.
struct Tags {
    table: &'static str,
    /// The column that names the owner, and the owner's own.
    owner: &'static str,
    id: &'static str,
}

impl Tags {
    /// Adds what is asked of a tag. `begins`: few have the value, and the search begins with them.
    fn condition(&self, sql: &mut Sql, project: &str, key: &str, text: &Text, begins: bool) {
        let Self { table, owner, id } = self;
        if let (Text::Eq(value), true) = (text, begins) {
            sql.push(&format!("{id} IN (SELECT {owner} FROM {table} WHERE project = ")).bind(project.to_owned());
            sql.push(" AND key = ").bind(key.to_owned()).push(" AND value = ").bind(value.clone()).push(")");
            return;
        }
        let exists = if *text == Text::IsNull { "NOT EXISTS" } else { "EXISTS" };
        sql.push(&format!("{exists} (SELECT 1 FROM {table} c WHERE c.{owner} = {id} AND c.key = "));
        sql.bind(key.to_owned());
        if !matches!(text, Text::IsNull | Text::IsNotNull) {
            sql.push(" AND ").text("c.value", text);
        }
        sql.push(")");
    }

    /// Whether so few have a tag of this value that a search should begin with them.
    fn is_rare(&self, db: &Connection, project: &str, key: &str, text: &Text) -> rusqlite::Result<bool> {
        match text {
            Text::Eq(value) => {
                is_rare(db, self.table, "project = ?1 AND key = ?2 AND value = ?3", params![project, key, value])
            }
            _ => Ok(false),
        }
    }
}

/// Whether few rows of a table are so.
fn is_rare(db: &Connection, table: &str, so: &'static str, params: &[&dyn ToSql]) -> rusqlite::Result<bool> {
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {so} LIMIT {})", RARE_ROWS_MAX + 1);
    let count: i64 = db.prepare_cached(&sql)?.query_row(params, |row| row.get(0))?;
    Ok(count <= RARE_ROWS_MAX)
}

/// The columns of an order when the search begins elsewhere: few rows are sorted, and no index of the order is walked.
/// What else an index could begin with is written with the same sign.
fn sorted(columns: &[Column]) -> Vec<Column> {
    // A sign before it hides a column from the planner, which would rather walk in order past all that do not match.
    let hidden = |column: &Column| Column { sql: format!("+{}", column.sql), is_descending: column.is_descending };
    columns.iter().map(hidden).collect()
}
