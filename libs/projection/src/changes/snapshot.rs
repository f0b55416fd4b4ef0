use cairn_kernel::Position;
use parking_lot::MutexGuard;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use super::ChangesFault;
use super::outbox::notes;
use super::shape::{Kind, TableShape};
use crate::catalog::{self, quoted};

/// Rows and bytes of one piece, after either of which it is handed on.
const ROWS_MAX: usize = 2_000;
const BYTES_MAX: usize = 2 << 20;

/// Where a view and its notes stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How far the rows have come, and the last event that is in them.
    pub position: Position,
    pub last: Option<(Position, Uuid)>,
    /// Whatever changed after this is noted down.
    pub since: Position,
    /// Another whenever the rows were made from nothing.
    pub life: [u8; 16],
    /// The rows were replaced by those of another program, maybe: at the same position they may be others.
    pub is_doubtful: bool,
}

/// Values of one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    Integers(Vec<Option<i64>>),
    Reals(Vec<Option<f64>>),
    Texts(Vec<Option<String>>),
    Blobs(Vec<Option<Vec<u8>>>),
}

/// Some rows of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Which of the tables.
    pub table: usize,
    /// Those that are there, column by column.
    pub present: Vec<Cells>,
    pub present_count: usize,
    /// The keys of those that are not.
    pub gone: Vec<Cells>,
    pub gone_count: usize,
}

/// A view at one moment.
pub struct Snapshot<'a> {
    place: MutexGuard<'a, Option<(u64, Connection)>>,
    generation: u64,
    /// Given back at the end.
    connection: Option<Connection>,
    tables: &'a [TableShape],
    standing: Standing,
}

impl Cells {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Integer => Self::Integers(vec![]),
            Kind::Real => Self::Reals(vec![]),
            Kind::Text => Self::Texts(vec![]),
            Kind::Blob => Self::Blobs(vec![]),
        }
    }

    /// Adds a value and says how many bytes it has; `Err`: it is of another kind.
    fn push(&mut self, value: ValueRef<'_>) -> Result<usize, String> {
        match (self, value) {
            (Self::Integers(cells), ValueRef::Null) => cells.push(None),
            (Self::Reals(cells), ValueRef::Null) => cells.push(None),
            (Self::Texts(cells), ValueRef::Null) => cells.push(None),
            (Self::Blobs(cells), ValueRef::Null) => cells.push(None),
            (Self::Integers(cells), ValueRef::Integer(value)) => cells.push(Some(value)),
            (Self::Reals(cells), ValueRef::Real(value)) => cells.push(Some(value)),
            (Self::Texts(cells), ValueRef::Text(value)) => {
                let text = std::str::from_utf8(value).map_err(|_| "text that is not UTF-8".to_owned())?;
                cells.push(Some(text.to_owned()));
                return Ok(value.len());
            }
            (Self::Blobs(cells), ValueRef::Blob(value)) => {
                cells.push(Some(value.to_owned()));
                return Ok(value.len());
            }
            (_, value) => return Err(value.data_type().to_string()),
        }
        Ok(size_of::<i64>())
    }
}

impl<'a> Snapshot<'a> {
    pub(super) fn begin(
        place: MutexGuard<'a, Option<(u64, Connection)>>,
        generation: u64,
        connection: Connection,
        view: &'static str,
        tables: &'a [TableShape],
    ) -> Result<Self, ChangesFault> {
        connection.execute_batch("BEGIN")?;
        let standing = standing(&connection, view)?.ok_or(ChangesFault::NotNoted(view))?;
        Ok(Self { place, generation, connection: Some(connection), tables, standing })
    }

    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Hands on all rows of all tables, or those that changed after a position, piece by piece.
    pub fn rows(
        &self,
        since: Option<Position>,
        mut piece: impl FnMut(Rows) -> Result<(), ChangesFault>,
    ) -> Result<(), ChangesFault> {
        (0..self.tables.len()).try_for_each(|table| self.of_table(table, since, &mut piece))
    }

    fn of_table(
        &self,
        at: usize,
        since: Option<Position>,
        piece: &mut impl FnMut(Rows) -> Result<(), ChangesFault>,
    ) -> Result<(), ChangesFault> {
        let table = &self.tables[at];
        let connection = self.connection.as_ref().ok_or(ChangesFault::Abandoned)?;
        let mut statement = connection.prepare_cached(&match since {
            Some(_) => changed(table),
            None => all(table),
        })?;
        let mut found = match since {
            Some(since) => statement.query([since.0.cast_signed()])?,
            None => statement.query([])?,
        };
        let mut rows = Rows::of(at, table);
        let mut bytes = 0;
        while let Some(row) = found.next()? {
            bytes += rows.push(table, row)?;
            if rows.present_count + rows.gone_count >= ROWS_MAX || bytes >= BYTES_MAX {
                piece(std::mem::replace(&mut rows, Rows::of(at, table)))?;
                bytes = 0;
            }
        }
        if rows.present_count + rows.gone_count > 0 {
            piece(rows)?;
        }
        Ok(())
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|open| open.execute_batch("ROLLBACK").is_ok()) {
            *self.place = Some((self.generation, connection));
        }
    }
}

impl Rows {
    fn of(at: usize, table: &TableShape) -> Self {
        Self {
            table: at,
            present: table.columns.iter().map(|column| Cells::new(column.kind)).collect(),
            present_count: 0,
            gone: table.key_columns().map(|column| Cells::new(column.kind)).collect(),
            gone_count: 0,
        }
    }

    /// Adds a row of an answer: whether it is there, its columns, and its key as it was noted down.
    fn push(&mut self, table: &TableShape, row: &Row<'_>) -> Result<usize, ChangesFault> {
        let is_there: bool = row.get(0)?;
        let (cells, first) = match is_there {
            true => (&mut self.present, 1),
            false => (&mut self.gone, 1 + table.columns.len()),
        };
        let mut bytes = 0;
        for (at, cells) in cells.iter_mut().enumerate() {
            bytes += cells.push(row.get_ref(first + at)?).map_err(|found| {
                let column = if is_there { at } else { table.key[at] };
                let column = &table.columns[column];
                let (table, name) = (table.name.clone(), column.name.clone());
                ChangesFault::Unlike { table, column: name, declared: column.kind.name(), found }
            })?;
        }
        *if is_there { &mut self.present_count } else { &mut self.gone_count } += 1;
        Ok(bytes)
    }
}

fn standing(connection: &Connection, view: &str) -> Result<Option<Standing>, rusqlite::Error> {
    let Some(checkpoint) = catalog::checkpoint(connection, view)? else { return Ok(None) };
    let mut noted = connection.prepare_cached("SELECT since, life, is_doubtful FROM cairn_outbox WHERE view = ?1")?;
    noted
        .query_row([view], |row| {
            Ok(Standing {
                position: checkpoint.position,
                last: checkpoint.last,
                since: Position(row.get::<_, i64>(0)?.cast_unsigned()),
                life: row.get(1)?,
                is_doubtful: row.get(2)?,
            })
        })
        .optional()
}

fn all(table: &TableShape) -> String {
    let columns: Vec<String> = (0..table.columns.len()).map(|at| table.expression(at)).collect();
    format!("SELECT 1, {} FROM {}", columns.join(", "), quoted(&table.name))
}

fn changed(table: &TableShape) -> String {
    let own = |at: usize| format!("own.{}", table.expression(at));
    let columns: Vec<String> = (0..table.columns.len()).map(own).collect();
    let key: Vec<String> = table.key_columns().map(|column| format!("note.{}", quoted(&column.name))).collect();
    let same: Vec<String> = table.key.iter().zip(&key).map(|(at, noted)| format!("{} = {noted}", own(*at))).collect();
    format!(
        "SELECT {} IS NOT NULL, {}, {} FROM {} AS note LEFT JOIN {} AS own ON {} WHERE note.at > ?1",
        own(table.key[0]),
        columns.join(", "),
        key.join(", "),
        notes(&table.name),
        quoted(&table.name),
        same.join(" AND "),
    )
}
