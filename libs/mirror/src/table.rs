//! A table of a view as PostgreSQL has it.

use cairn_postgres::{Link, Parameters};
use cairn_projection::{Cells, Copied, Kind, Rows, TableShape};
use tokio_postgres::Error;
use tokio_postgres::types::{ToSql, Type};

use crate::escape::escaped;

/// The statements for one table.
pub(crate) struct Table {
    pub name: String,
    /// Columns with their types, as it is created.
    columns: String,
    names: String,
    key: String,
    /// What becomes of a row that is there already.
    conflict: String,
    /// How a row is found by its key.
    same: String,
    places: usize,
    key_places: usize,
}

/// A name as SQL writes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "bigint",
        Kind::Real => "double precision",
        // In the order of bytes, as in the view.
        Kind::Text => "text COLLATE \"C\"",
        Kind::Blob => "bytea",
    }
}

impl Table {
    pub fn new(shape: &TableShape, copied: &Copied) -> Self {
        let column = |column: &cairn_projection::Column| {
            let required = if column.is_required { " NOT NULL" } else { "" };
            format!("{} {}{required}", quoted(&column.name), kind(column.kind))
        };
        let key: Vec<String> = shape.key_columns().map(|column| quoted(&column.name)).collect();
        let rest = shape.columns.iter().enumerate().filter(|(at, _)| !shape.key.contains(at));
        let rest: Vec<String> = rest.map(|(_, column)| quoted(&column.name)).collect();
        let set: Vec<String> = rest.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        Self {
            name: copied.name(&shape.name).to_owned(),
            columns: shape.columns.iter().map(column).collect::<Vec<_>>().join(", "),
            names: shape.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", "),
            conflict: match set.is_empty() {
                true => "DO NOTHING".to_owned(),
                false => format!("DO UPDATE SET {}", set.join(", ")),
            },
            same: key.iter().map(|name| format!("own.{name} = gone.{name}")).collect::<Vec<_>>().join(" AND "),
            places: shape.columns.len(),
            key_places: key.len(),
            key: key.join(", "),
        }
    }

    /// What it is called while it is filled and nobody reads it.
    pub fn new_name(&self) -> String {
        format!("{}:new", self.name)
    }

    /// Makes it under a name, without its key: that is made over all rows at once.
    pub fn create(&self, schema: &str, name: &str) -> String {
        format!("CREATE TABLE {schema}.{} ({})", quoted(name), self.columns)
    }

    pub fn add_key(&self, schema: &str, name: &str) -> String {
        format!("ALTER TABLE {schema}.{} ADD PRIMARY KEY ({})", quoted(name), self.key)
    }

    /// Adds rows to a table that has none of them.
    pub async fn insert(&self, link: &Link, schema: &str, name: &str, rows: &Rows) -> Result<(), Error> {
        let (names, places) = (&self.names, places(self.places));
        let sql = format!("INSERT INTO {schema}.{} ({names}) SELECT * FROM unnest({places})", quoted(name));
        run(link, &sql, &rows.present).await
    }

    /// Makes rows be as they are in the view.
    pub async fn write(&self, link: &Link, schema: &str, rows: &Rows) -> Result<(), Error> {
        let own = format!("{schema}.{}", quoted(&self.name));
        if rows.gone_count > 0 {
            let (places, key, same) = (places(self.key_places), &self.key, &self.same);
            let sql = format!("DELETE FROM {own} AS own USING unnest({places}) AS gone ({key}) WHERE {same}");
            run(link, &sql, &rows.gone).await?;
        }
        if rows.present_count > 0 {
            let (names, places, key, conflict) = (&self.names, places(self.places), &self.key, &self.conflict);
            let sql =
                format!("INSERT INTO {own} ({names}) SELECT * FROM unnest({places}) ON CONFLICT ({key}) {conflict}");
            run(link, &sql, &rows.present).await?;
        }
        Ok(())
    }
}

fn places(count: usize) -> String {
    (1..=count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

async fn run(link: &Link, sql: &str, columns: &[Cells]) -> Result<(), Error> {
    let parameters: Vec<_> = columns.iter().map(parameter).collect();
    let parameters: &Parameters<'_> = &parameters;
    link.execute_typed(sql, parameters).await.map(drop)
}

fn parameter(cells: &Cells) -> (&(dyn ToSql + Sync), Type) {
    match cells {
        Cells::Integers(cells) => (cells, Type::INT8_ARRAY),
        Cells::Reals(cells) => (cells, Type::FLOAT8_ARRAY),
        Cells::Texts(cells) => (cells, Type::TEXT_ARRAY),
        Cells::Blobs(cells) => (cells, Type::BYTEA_ARRAY),
    }
}

/// Writes texts as PostgreSQL takes them.
pub(crate) fn acceptable(mut rows: Rows) -> Rows {
    for cells in rows.present.iter_mut().chain(&mut rows.gone) {
        if let Cells::Texts(texts) = cells {
            for text in texts.iter_mut().flatten() {
                if let std::borrow::Cow::Owned(other) = escaped(text) {
                    *text = other;
                }
            }
        }
    }
    rows
}
