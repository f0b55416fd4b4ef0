//! The notes themselves: a table for each table, with the keys of the rows that changed.

use cairn_kernel::Position;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::shape::{self, TableShape};
use super::snapshot::Standing;
use crate::catalog::quoted;
use crate::definition::Definition;
use crate::{Copied, QueryFault};

/// What has a trigger. A row whose key changes is noted down under both.
const CHANGES: [&str; 4] = ["insert", "update", "rekey", "delete"];

/// What stays here, as the file remembers it: a program that leaves out something else begins anew.
fn text(copied: &Copied) -> String {
    copied.left_out.join("\n")
}

/// The table of a table's notes.
pub(super) fn notes(table: &str) -> String {
    quoted(&format!("cairn_changed_{table}"))
}

/// The position that changes are noted down with: that of the batch under way.
fn at(view: &str) -> String {
    format!("(SELECT at FROM cairn_outbox WHERE view = '{}')", view.replace('\'', "''"))
}

/// Makes notes, unless they are made of the same tables already.
pub(super) fn install(
    tx: &Transaction<'_>,
    view: &'static str,
    copied: &Copied,
    tables: &[TableShape],
) -> Result<(), rusqlite::Error> {
    if is_whole(tx, view, copied, tables)? {
        return Ok(());
    }
    drop_tables(tx, view)?;
    // Nothing is known of what changed up to here.
    tx.execute(
        "INSERT OR REPLACE INTO cairn_outbox (view, left_out, at, since, life, is_doubtful)
         SELECT name, ?2, position, position, randomblob(16), 0 FROM cairn_view WHERE name = ?1",
        [view, &text(copied)],
    )?;
    create(tx, view, tables)
}

/// Whether all that changes is noted down. An older program moves the view without saying so, or makes its tables anew without
/// triggers.
fn is_whole(tx: &Transaction<'_>, view: &str, copied: &Copied, tables: &[TableShape]) -> Result<bool, rusqlite::Error> {
    let sql = "SELECT o.left_out, o.at = v.position FROM cairn_outbox o JOIN cairn_view v ON v.name = o.view WHERE o.view = ?1";
    let known: Option<(String, bool)> = tx.query_row(sql, [view], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if known != Some((text(copied), true)) {
        return Ok(false);
    }
    let mut find =
        tx.prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 AND name GLOB ?2")?;
    for table in tables {
        let ours = format!("cairn_changed_{}_*", table.name);
        if find.query_row([&table.name, &ours], |row| row.get::<_, usize>(0))? != CHANGES.len() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes no more notes, and drops those there are.
pub(super) fn uninstall(tx: &Transaction<'_>, definition: &Definition) -> Result<(), rusqlite::Error> {
    drop_tables(tx, definition.name)?;
    tx.execute("DELETE FROM cairn_outbox WHERE view = ?1", [definition.name]).map(drop)
}

fn create(tx: &Transaction<'_>, view: &str, tables: &[TableShape]) -> Result<(), rusqlite::Error> {
    tables.iter().try_for_each(|table| tx.execute_batch(&statements(view, table)))
}

/// What makes the notes of a table.
fn statements(view: &str, table: &TableShape) -> String {
    let (own, notes, at) = (quoted(&table.name), notes(&table.name), at(view));
    let names: Vec<String> = table.key_columns().map(|column| quoted(&column.name)).collect();
    let typed: Vec<String> =
        table.key_columns().zip(&names).map(|(column, name)| format!("{name} {}", column.kind.name())).collect();
    let key = names.join(", ");
    let note = |row: &str| {
        let of: Vec<String> = table.key.iter().map(|part| format!("{row}.{}", table.expression(*part))).collect();
        format!(
            "INSERT INTO {notes} ({key}, at) VALUES ({}, {at}) ON CONFLICT ({key}) DO UPDATE SET at = excluded.at;",
            of.join(", ")
        )
    };
    let trigger = |change: &str| quoted(&format!("cairn_changed_{}_{change}", table.name));
    let is_other: Vec<String> = table
        .key
        .iter()
        .map(|part| table.expression(*part))
        .map(|part| format!("old.{part} IS NOT new.{part}"))
        .collect();
    format!(
        "CREATE TABLE {notes} ({}, at INTEGER NOT NULL, PRIMARY KEY ({key})) WITHOUT ROWID;
         CREATE TRIGGER {} AFTER INSERT ON {own} BEGIN {} END;
         CREATE TRIGGER {} AFTER UPDATE ON {own} BEGIN {} END;
         CREATE TRIGGER {} AFTER UPDATE ON {own} WHEN {} BEGIN {} END;
         CREATE TRIGGER {} AFTER DELETE ON {own} BEGIN {} END;",
        typed.join(", "),
        trigger("insert"),
        note("new"),
        trigger("update"),
        note("new"),
        trigger("rekey"),
        is_other.join(" OR "),
        note("old"),
        trigger("delete"),
        note("old"),
    )
}

/// Drops the notes of a view with what makes them.
fn drop_tables(tx: &Transaction<'_>, view: &str) -> Result<(), rusqlite::Error> {
    let mut owned = tx.prepare("SELECT name FROM cairn_view_table WHERE view = ?1 AND is_view = 0")?;
    let owned: Vec<String> = owned.query_map([view], |row| row.get(0))?.collect::<Result<_, _>>()?;
    owned.iter().try_for_each(|table| take_away(tx, table))
}

/// Drops the notes of a table with what makes them.
pub(crate) fn take_away(tx: &Transaction<'_>, table: &str) -> Result<(), rusqlite::Error> {
    for change in CHANGES {
        tx.execute_batch(&format!("DROP TRIGGER IF EXISTS {}", quoted(&format!("cairn_changed_{table}_{change}"))))?;
    }
    tx.execute_batch(&format!("DROP TABLE IF EXISTS {}", notes(table)))
}

/// Goes on making notes of a view whose tables were just made anew: of everything, since they are empty.
pub(crate) fn begin_again(tx: &Transaction<'_>, definition: &Definition) -> Result<(), rusqlite::Error> {
    let view = definition.name;
    let is_noted: bool =
        tx.query_row("SELECT EXISTS (SELECT 1 FROM cairn_outbox WHERE view = ?1)", [view], |row| row.get(0))?;
    if !is_noted {
        return Ok(());
    }
    let tables = match definition.copied.map(|copied| (copied, shape::of(definition, &copied))) {
        Some((copied, Ok(tables))) => {
            let again =
                "UPDATE cairn_outbox SET left_out = ?2, at = 0, since = 0, life = randomblob(16) WHERE view = ?1";
            tx.execute(again, [view, &text(&copied)])?;
            tables
        }
        Some((_, Err(QueryFault::Sql(fault)))) => return Err(fault),
        // It is not copied any more; or cannot be, and whoever begins to is told.
        None | Some((_, Err(_))) => return tx.execute("DELETE FROM cairn_outbox WHERE view = ?1", [view]).map(drop),
    };
    create(tx, view, &tables)
}

/// The rows of a view are those of another build now, of which there are no notes. `is_doubtful`: they may be others than
/// before at the same position.
pub(crate) fn replaced(tx: &Transaction<'_>, view: &str, is_doubtful: bool) -> Result<(), rusqlite::Error> {
    tx.execute(
        "UPDATE cairn_outbox SET (at, since) = (SELECT position, position FROM cairn_view WHERE name = ?1),
         life = randomblob(16), is_doubtful = max(is_doubtful, ?2) WHERE view = ?1",
        params![view, is_doubtful],
    )
    .map(drop)
}

/// What changes from here on is of the batch up to `to`.
pub(crate) fn mark(tx: &Transaction<'_>, view: &str, to: Position) -> Result<(), rusqlite::Error> {
    let mut update = tx.prepare_cached("UPDATE cairn_outbox SET at = ?2 WHERE view = ?1")?;
    update.execute(params![view, to.0.cast_signed()]).map(drop)
}

/// Notes are whole only from here on.
pub(super) fn raise(tx: &Transaction<'_>, view: &str, to: Position) -> Result<(), rusqlite::Error> {
    let mut update = tx.prepare_cached("UPDATE cairn_outbox SET since = ?2 WHERE view = ?1 AND since < ?2")?;
    update.execute(params![view, to.0.cast_signed()]).map(drop)
}

/// Drops some of the notes up to a position, and says how many.
pub(super) fn drop_notes(
    tx: &Transaction<'_>,
    table: &TableShape,
    to: Position,
    max: usize,
) -> Result<usize, rusqlite::Error> {
    let notes = notes(&table.name);
    let key: Vec<String> = table.key_columns().map(|column| quoted(&column.name)).collect();
    let key = key.join(", ");
    let sql = format!("DELETE FROM {notes} WHERE ({key}) IN (SELECT {key} FROM {notes} WHERE at <= ?1 LIMIT ?2)");
    tx.prepare_cached(&sql)?.execute(params![to.0.cast_signed(), max])
}

/// The rows are no longer in doubt, if they are still those that were copied.
pub(super) fn settle(connection: &Connection, view: &str, standing: &Standing) -> Result<(), rusqlite::Error> {
    let sql = "UPDATE cairn_outbox SET is_doubtful = 0 WHERE view = ?1 AND life = ?2";
    connection.execute(sql, params![view, standing.life]).map(drop)
}
