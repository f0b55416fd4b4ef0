use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::catalog::{self, Checkpoint, quoted};
use crate::changes;
use crate::definition::{Definition, Table};

/// Replaces the view's rows, quarantine and checkpoint by those of a second build, in one transaction.
///
/// Readers see the old rows until it commits, and the new ones from then on. `is_doubtful`: these may be others than those at the
/// same position.
pub(crate) fn swap(
    connection: &mut Connection,
    definition: &Definition,
    built: &Path,
    is_doubtful: bool,
) -> Result<Checkpoint, rusqlite::Error> {
    connection.execute("ATTACH ?1 AS built", [built.to_string_lossy()])?;
    let taken = take(connection, definition, is_doubtful);
    let detached = connection.execute_batch("DETACH built");
    taken.and_then(|checkpoint| detached.map(|()| checkpoint))
}

fn take(
    connection: &mut Connection,
    definition: &Definition,
    is_doubtful: bool,
) -> Result<Checkpoint, rusqlite::Error> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    catalog::start_over(&tx, definition)?;
    // What triggers would write is copied like everything else.
    let triggers = take_triggers(&tx, definition)?;
    for table in definition.tables.iter().filter(|table| !table.is_view) {
        copy(&tx, table)?;
    }
    tx.execute_batch(&triggers.join(";\n"))?;
    tx.execute_batch("INSERT INTO main.cairn_quarantine SELECT * FROM built.cairn_quarantine")?;
    let (position, last_position, last_id) =
        tx.query_row("SELECT position, last_position, last_id FROM built.cairn_view", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, Option<Vec<u8>>>(2)?))
        })?;
    tx.execute(
        "UPDATE main.cairn_view SET position = ?2, last_position = ?3, last_id = ?4 WHERE name = ?1",
        (definition.name, position, last_position, last_id),
    )?;
    changes::replaced(&tx, definition.name, is_doubtful)?;
    let checkpoint = catalog::checkpoint(&tx, definition.name)?.unwrap_or_default();
    tx.commit()?;
    Ok(checkpoint)
}

/// Drops the triggers of the view's tables, and gives the statements that make them again.
fn take_triggers(tx: &Transaction<'_>, definition: &Definition) -> Result<Vec<String>, rusqlite::Error> {
    let mut listed = tx.prepare("SELECT name, sql FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1")?;
    let mut statements = vec![];
    for table in definition.tables.iter() {
        let found = listed.query_map([&table.name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        for (name, sql) in found.collect::<Result<Vec<_>, _>>()? {
            tx.execute_batch(&format!("DROP TRIGGER main.{}", quoted(&name)))?;
            statements.push(sql);
        }
    }
    Ok(statements)
}

/// Copies a table. Row by row only if it has to: `INSERT … SELECT *` between tables of the same shape makes SQLite move
/// the entries of table and indexes in their order, as they are, without looking into them.
///
/// That keeps hidden row numbers, except of a table without any index: there they have to be named.
fn copy(tx: &Transaction<'_>, table: &Table) -> Result<(), rusqlite::Error> {
    let mut indexes = tx.prepare("SELECT count(*) FROM pragma_index_list(?1, 'built')")?;
    let has_index = indexes.query_row([&table.name], |row| row.get::<_, i64>(0))? > 0;
    if !table.has_rowid || has_index {
        let table = quoted(&table.name);
        return tx.execute_batch(&format!("INSERT INTO main.{table} SELECT * FROM built.{table}"));
    }
    let mut listed = tx.prepare("SELECT name, pk, type FROM pragma_table_info(?1, 'built') ORDER BY cid")?;
    let columns: Vec<(String, u32, String)> = listed
        .query_map([&table.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    // A column that is the row's number already would be given twice.
    let numbered = columns.iter().filter(|(_, place, _)| *place > 0).count() == 1
        && columns.iter().any(|(_, place, kind)| *place > 0 && kind.eq_ignore_ascii_case("integer"));
    let mut names: Vec<_> = columns.iter().map(|(name, ..)| quoted(name)).collect();
    if !numbered {
        names.push("rowid".to_owned());
    }
    let (table, names) = (quoted(&table.name), names.join(", "));
    tx.execute_batch(&format!("INSERT INTO main.{table} ({names}) SELECT {names} FROM built.{table}"))
}
