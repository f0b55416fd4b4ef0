use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use cairn_eventstore::{Filter, Recorded};
use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::past::{OneByOne, Twins};
use crate::{Copied, Projection, ProjectionFault, QueryFault};

/// A projection without its type, and the tables it creates. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Definition {
    pub name: &'static str,
    pub schema: Arc<str>,
    /// Names the shape of the tables: SHA-256 of the schema, hex.
    pub shape: String,
    /// What the schema creates, indexes and triggers aside: they go with their tables.
    pub tables: Arc<[Table]>,
    /// The indexes that only readers need.
    pub reader_indexes: Arc<[Index]>,
    /// How it is copied elsewhere, if it is.
    pub copied: Option<Copied>,
    fold: Arc<dyn Fold>,
}

/// A table or SQL view that a schema creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub name: String,
    pub is_view: bool,
    /// Rows are found by a hidden number, which other rows may refer to.
    pub has_rowid: bool,
}

/// An index, and the statement that makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub name: String,
    pub sql: String,
}

/// A projection as an object.
pub(crate) trait Fold: Send + Sync {
    fn filter(&self) -> Filter;
    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault>;
}

impl<P: Projection> Fold for P {
    fn filter(&self) -> Filter {
        Projection::filter(self)
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        Projection::apply(self, tx, events)
    }
}

impl Definition {
    /// Learns which tables the projection has by creating them in an empty database.
    pub fn of<P: Projection>(projection: P) -> Result<Self, QueryFault> {
        let scratch = Connection::open_in_memory()?;
        scratch.execute_batch(P::SCHEMA)?;
        Ok(Self {
            name: P::NAME,
            schema: P::SCHEMA.into(),
            shape: shape(P::SCHEMA),
            tables: tables(&scratch)?,
            reader_indexes: reader_indexes::<P>(&scratch)?,
            copied: P::COPIED,
            fold: Arc::new(projection),
        })
    }

    /// The view that keeps the past of this one, beside it in a file of its own.
    pub fn past(self, name: &'static str) -> Result<Self, QueryFault> {
        let scratch = Connection::open_in_memory()?;
        scratch.execute_batch(&self.schema)?;
        let twins = Twins::of(&scratch, &self)?;
        let schema = format!("{}\n{}", self.schema, twins.schema);
        scratch.execute_batch(&twins.schema)?;
        Ok(Self {
            name,
            shape: shape(&schema),
            schema: schema.into(),
            tables: tables(&scratch)?,
            reader_indexes: twins.reader_indexes.into(),
            copied: None,
            fold: Arc::new(OneByOne(self.fold)),
        })
    }

    pub fn filter(&self) -> Filter {
        self.fold.filter()
    }

    pub fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        self.fold.apply(tx, events)
    }
}

/// Names the shape of the tables that a schema creates.
fn shape(schema: &str) -> String {
    hex::encode(digest(&SHA256, schema.as_bytes()))
}

/// What a schema has created.
fn tables(created: &Connection) -> Result<Arc<[Table]>, rusqlite::Error> {
    let mut listed = created.prepare(
        "SELECT name, type = 'view', wr = 0 FROM pragma_table_list
         WHERE schema = 'main' AND type IN ('table', 'view', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         ORDER BY name",
    )?;
    let tables =
        listed.query_map([], |row| Ok(Table { name: row.get(0)?, is_view: row.get(1)?, has_rowid: row.get(2)? }))?;
    tables.collect()
}

/// Finds the indexes that only readers need in what the schema has created.
fn reader_indexes<P: Projection>(created: &Connection) -> Result<Arc<[Index]>, QueryFault> {
    let mut find = created.prepare("SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?1")?;
    let mut indexes = vec![];
    for &name in P::READER_INDEXES {
        // SQLite keeps the statement's beginning in this spelling, however it was written.
        match find.query_row([name], |row| row.get::<_, Option<String>>(0)).optional()?.flatten() {
            Some(sql) if sql.starts_with("CREATE INDEX") => indexes.push(Index { name: name.to_owned(), sql }),
            _ => {
                let problem = format!("view {}: its schema creates no index {name} that is not unique", P::NAME);
                return Err(QueryFault::Conflict(problem));
            }
        }
    }
    Ok(indexes.into())
}
