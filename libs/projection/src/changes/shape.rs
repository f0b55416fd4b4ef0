use std::sync::Arc;

use rusqlite::Connection;

use crate::catalog::quoted;
use crate::definition::Definition;
use crate::{Copied, QueryFault};

/// What a column holds, apart from NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Real,
    Text,
    Blob,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub is_required: bool,
}

/// A table that is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    pub name: String,
    /// Those that are copied. A table without a key of its own has its rows' hidden number as the first.
    pub columns: Vec<Column>,
    /// Which of them make the key, in its order.
    pub key: Vec<usize>,
    /// How SQLite is asked for a column, where that is not its name.
    hidden: Option<&'static str>,
}

impl Kind {
    /// By SQLite's own rules for what a declared type means. None for one that holds anything.
    fn of(declared: &str) -> Option<Self> {
        let declared = declared.to_ascii_uppercase();
        let says = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        match () {
            () if says(&["INT"]) => Some(Self::Integer),
            () if says(&["CHAR", "CLOB", "TEXT"]) => Some(Self::Text),
            () if says(&["BLOB"]) => Some(Self::Blob),
            () if says(&["REAL", "FLOA", "DOUB"]) => Some(Self::Real),
            () => None,
        }
    }

    /// As a schema declares it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Text => "TEXT",
            Self::Blob => "BLOB",
        }
    }
}

impl TableShape {
    /// The table's own expression for a column, as SQL of SQLite writes it.
    pub(crate) fn expression(&self, at: usize) -> String {
        match self.hidden {
            Some(hidden) if at == 0 => hidden.to_owned(),
            _ => quoted(&self.columns[at].name),
        }
    }

    /// The columns of the key.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().map(|at| &self.columns[*at])
    }
}

/// What a column was declared as.
struct Declared {
    name: String,
    kind: String,
    is_required: bool,
    /// Its place in the primary key, from 1.
    place: u32,
}

/// The tables of a view that are copied. Refuses what cannot be: a mistake in the program.
pub(super) fn of(definition: &Definition, copied: &Copied) -> Result<Arc<[TableShape]>, QueryFault> {
    let created = Connection::open_in_memory()?;
    created.execute_batch(&definition.schema)?;
    let wrong = |problem: String| QueryFault::Conflict(format!("view {}: {problem}", definition.name));
    for out in copied.left_out {
        let table = out.split_once('.').map_or(*out, |(table, _)| table);
        if !definition.tables.iter().any(|known| known.name == table) {
            return Err(wrong(format!("{out} is to be left out of its copy, and there is no such table")));
        }
    }
    let mut is_real = created.prepare("SELECT count(*) FROM pragma_table_list WHERE name = ?1 AND type = 'table'")?;
    let mut shapes = vec![];
    for table in definition.tables.iter().filter(|table| !copied.leaves_out(&table.name)) {
        // What a virtual table shows lies elsewhere, and SQLite has no triggers for it.
        if table.is_view || is_real.query_row([&table.name], |row| row.get::<_, i64>(0))? == 0 {
            continue;
        }
        shapes.push(shape(&created, &table.name, table.has_rowid, copied)?.map_err(wrong)?);
    }
    Ok(shapes.into())
}

fn shape(
    created: &Connection,
    table: &str,
    has_rowid: bool,
    copied: &Copied,
) -> Result<Result<TableShape, String>, rusqlite::Error> {
    // Hidden columns of this kind are generated ones: they are read like others.
    let mut listed = created
        .prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid")?;
    let found: Vec<Declared> = listed
        .query_map([table], |row| {
            Ok(Declared { name: row.get(0)?, kind: row.get(1)?, is_required: row.get(2)?, place: row.get(3)? })
        })?
        .collect::<Result<_, _>>()?;
    let parts = found.iter().filter(|column| column.place > 0);
    let is_number = parts.clone().count() == 1 && parts.clone().all(|key| key.kind.eq_ignore_ascii_case("integer"));
    let has_parts = parts.clone().next().is_some();
    // A key that may be NULL, which SQLite lets happen, names no row.
    let has_key = has_parts && (!has_rowid || is_number || parts.clone().all(|column| column.is_required));

    let mut shape = TableShape { name: table.to_owned(), columns: vec![], key: vec![], hidden: None };
    if !has_key {
        let is_free = |name: &&&str| !found.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        let Some(hidden) = ["rowid", "_rowid_", "oid"].iter().find(is_free) else {
            return Ok(Err(format!("{table} has no key, and its rows' number cannot be asked for")));
        };
        shape.hidden = Some(hidden);
        let number = Column { name: "cairn_rowid".to_owned(), kind: Kind::Integer, is_required: true };
        shape.columns.push(number);
        shape.key.push(0);
    }
    let mut key = vec![];
    for column in found {
        let is_key = has_key && column.place > 0;
        if copied.leaves_out_column(table, &column.name) {
            if is_key {
                return Ok(Err(format!("{table}.{} is of its key and cannot be left out", column.name)));
            }
            continue;
        }
        let Some(kind) = Kind::of(&column.kind) else {
            return Ok(Err(format!("{table}.{} is declared {:?}, which may hold anything", column.name, column.kind)));
        };
        if is_key {
            key.push((column.place, shape.columns.len()));
        }
        shape.columns.push(Column { name: column.name, kind, is_required: column.is_required || is_key });
    }
    key.sort_unstable();
    shape.key.extend(key.into_iter().map(|(_, at)| at));
    Ok(Ok(shape))
}
