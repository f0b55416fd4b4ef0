//! What a read model file knows about its views: how far each has come, which tables are whose, and the events that
//! could not be folded in.

use cairn_eventstore::Recorded;
use cairn_kernel::Position;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;

use crate::changes;
use crate::definition::Definition;

/// `last_position` and `last_id` name the last event folded in, so that a log with another history is recognised.
///
/// `cairn_outbox` has a row for each view that is copied elsewhere: its changes are noted down with the position `at`, and all
/// notes after `since` are there.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS cairn_view (
        name TEXT PRIMARY KEY,
        shape TEXT NOT NULL,
        position INTEGER NOT NULL,
        last_position INTEGER,
        last_id BLOB
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS cairn_view_table (
        name TEXT PRIMARY KEY,
        is_view INTEGER NOT NULL,
        view TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS cairn_outbox (
        view TEXT PRIMARY KEY,
        left_out TEXT NOT NULL,
        at INTEGER NOT NULL,
        since INTEGER NOT NULL,
        life BLOB NOT NULL,
        is_doubtful INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS cairn_quarantine (
        view TEXT NOT NULL,
        position INTEGER NOT NULL,
        event_id BLOB NOT NULL,
        kind TEXT NOT NULL,
        error TEXT NOT NULL,
        time_micros INTEGER NOT NULL,
        PRIMARY KEY (view, position)
    ) STRICT, WITHOUT ROWID;
";

/// Longest error kept with a quarantined event, in bytes.
const ERROR_BYTES_MAX: usize = 2000;

/// How far a view has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Every event up to here is in the tables or was not wanted.
    pub position: Position,
    /// The last event that is in the tables.
    pub last: Option<(Position, Uuid)>,
}

/// Why a view cannot use a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdoptFault {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error("view {view} creates table {table}, which belongs to view {owner}")]
    TableTaken { view: &'static str, table: String, owner: String },
}

/// Makes room for views in a new file.
pub(crate) fn create(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(SCHEMA)
}

/// Finds the view's tables as it left them, or creates them: for a new name, a changed schema, or on a new file.
///
/// Tables of the same names that belong to a view nobody runs any more (an older shape of this one) are dropped with
/// everything else of that view.
pub(crate) fn adopt(
    tx: &Transaction<'_>,
    definition: &Definition,
    is_running: impl Fn(&str) -> bool,
) -> Result<Checkpoint, AdoptFault> {
    let shape: Option<String> =
        tx.query_row("SELECT shape FROM cairn_view WHERE name = ?1", [definition.name], |row| row.get(0)).optional()?;
    if shape.as_ref() == Some(&definition.shape) {
        return Ok(checkpoint(tx, definition.name)?.unwrap_or_default());
    }
    for table in definition.tables.iter() {
        let owner: Option<String> = tx
            .query_row("SELECT view FROM cairn_view_table WHERE name = ?1", [&table.name], |row| row.get(0))
            .optional()?;
        match owner {
            Some(owner) if owner != definition.name && is_running(&owner) => {
                return Err(AdoptFault::TableTaken { view: definition.name, table: table.name.clone(), owner });
            }
            Some(owner) => retire(tx, &owner)?,
            None => {}
        }
    }
    start_over(tx, definition)?;
    Ok(Checkpoint::default())
}

/// Empties a view, so that it reads the log from the start.
pub(crate) fn start_over(tx: &Transaction<'_>, definition: &Definition) -> Result<(), rusqlite::Error> {
    retire(tx, definition.name)?;
    tx.execute_batch(&definition.schema)?;
    tx.execute(
        "INSERT INTO cairn_view (name, shape, position) VALUES (?1, ?2, 0)",
        [definition.name, &definition.shape],
    )?;
    for table in definition.tables.iter() {
        tx.execute(
            "INSERT INTO cairn_view_table (name, is_view, view) VALUES (?1, ?2, ?3)",
            params![table.name, table.is_view, definition.name],
        )?;
    }
    changes::begin_again(tx, definition)
}

/// Drops the indexes that only readers need. They are empty, so this costs nothing.
pub(crate) fn drop_reader_indexes(tx: &Transaction<'_>, definition: &Definition) -> Result<(), rusqlite::Error> {
    for index in definition.reader_indexes.iter() {
        tx.execute_batch(&format!("DROP INDEX {}", quoted(&index.name)))?;
    }
    Ok(())
}

/// Makes the indexes that only readers need, over the rows there are.
pub(crate) fn create_reader_indexes(connection: &Connection, definition: &Definition) -> Result<(), rusqlite::Error> {
    for index in definition.reader_indexes.iter() {
        connection.execute_batch(&index.sql)?;
    }
    Ok(())
}

/// Drops everything of a view.
fn retire(tx: &Transaction<'_>, view: &str) -> Result<(), rusqlite::Error> {
    let mut owned = tx.prepare("SELECT name, is_view FROM cairn_view_table WHERE view = ?1 ORDER BY is_view DESC")?;
    let owned: Vec<(String, bool)> =
        owned.query_map([view], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (name, is_view) in owned {
        let kind = if is_view { "VIEW" } else { "TABLE" };
        changes::take_away(tx, &name)?;
        tx.execute_batch(&format!("DROP {kind} IF EXISTS {}", quoted(&name)))?;
    }
    for table in ["cairn_view_table", "cairn_quarantine"] {
        tx.execute(&format!("DELETE FROM {table} WHERE view = ?1"), [view])?;
    }
    tx.execute("DELETE FROM cairn_view WHERE name = ?1", [view])?;
    Ok(())
}

/// How far a view has come; `None`: the file does not know it.
pub(crate) fn checkpoint(connection: &Connection, view: &str) -> Result<Option<Checkpoint>, rusqlite::Error> {
    let mut found =
        connection.prepare_cached("SELECT position, last_position, last_id FROM cairn_view WHERE name = ?1")?;
    found
        .query_row([view], |row| {
            let last = row.get::<_, Option<i64>>(1)?.zip(row.get::<_, Option<[u8; 16]>>(2)?);
            Ok(Checkpoint {
                position: Position(row.get::<_, i64>(0)?.cast_unsigned()),
                last: last.map(|(at, id)| (Position(at.cast_unsigned()), Uuid::from_bytes(id))),
            })
        })
        .optional()
}

/// Moves a view's checkpoint. `false`: it is not at `from`, so somebody else moves it too.
pub(crate) fn advance(
    tx: &Transaction<'_>,
    view: &str,
    from: Position,
    to: &Checkpoint,
) -> Result<bool, rusqlite::Error> {
    let mut update = tx.prepare_cached(
        "UPDATE cairn_view SET position = ?3, last_position = ?4, last_id = ?5 WHERE name = ?1 AND position = ?2",
    )?;
    let last_position = to.last.map(|(at, _)| at.0.cast_signed());
    let last_id = to.last.map(|(_, id)| id.into_bytes());
    let moved =
        update.execute(params![view, from.0.cast_signed(), to.position.0.cast_signed(), last_position, last_id])?;
    Ok(moved == 1)
}

/// Sets an event aside that cannot be folded in.
pub(crate) fn quarantine(
    tx: &Transaction<'_>,
    view: &str,
    event: &Recorded,
    error: &str,
) -> Result<(), rusqlite::Error> {
    let mut insert = tx.prepare_cached("INSERT OR REPLACE INTO cairn_quarantine VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let error = &error[..error.floor_char_boundary(ERROR_BYTES_MAX)];
    let position = event.position.0.cast_signed();
    insert.execute(params![view, position, event.id.into_bytes(), &*event.kind, error, event.time.micros()])?;
    Ok(())
}

/// How many events a view has set aside.
pub(crate) fn quarantined(connection: &Connection, view: &str) -> Result<u64, rusqlite::Error> {
    let mut count = connection.prepare_cached("SELECT count(*) FROM cairn_quarantine WHERE view = ?1")?;
    count.query_row([view], |row| row.get(0)).map(i64::cast_unsigned)
}

/// A name as SQL writes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
