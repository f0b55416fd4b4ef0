//! The same edges as a table of names, and the recursive query that one writes over it.

use std::path::Path;

use cairn_ledger::Towards;
use cairn_projection::rusqlite::{Connection, params};

/// Copies the edges out of the graph.
pub fn copied(graph: &Connection, file: &Path) -> anyhow::Result<Connection> {
    let mut copy = Connection::open(file)?;
    copy.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE edge (source TEXT NOT NULL, target TEXT NOT NULL, relation TEXT NOT NULL);",
    )?;
    let tx = copy.transaction()?;
    {
        let mut read = graph.prepare(
            "SELECT coalesce(s.name, s.key), coalesce(t.name, t.key), w.text FROM lineage_edge e
             JOIN lineage_node s ON s.id = e.source JOIN lineage_node t ON t.id = e.target
             JOIN lineage_word w ON w.id = e.relation",
        )?;
        let mut insert = tx.prepare("INSERT INTO edge VALUES (?1, ?2, ?3)")?;
        let mut rows = read.query([])?;
        while let Some(row) = rows.next()? {
            let (source, target, relation): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            insert.execute(params![source, target, relation])?;
        }
    }
    tx.commit()?;
    copy.execute_batch(
        "CREATE INDEX edge_by_source ON edge (source, target);
         CREATE INDEX edge_by_target ON edge (target, source);
         ANALYZE;",
    )?;
    Ok(copy)
}

/// The names within some steps of one.
pub fn walked(edges: &Connection, start: &str, towards: Towards, depth: usize) -> anyhow::Result<Vec<String>> {
    let (near, far) = if towards == Towards::Upstream { ("target", "source") } else { ("source", "target") };
    let sql = format!(
        "WITH RECURSIVE found(name, distance) AS (
             VALUES (?1, 0)
             UNION
             SELECT edge.{far}, found.distance + 1 FROM found JOIN edge ON edge.{near} = found.name
             WHERE found.distance < ?2)
         SELECT DISTINCT name FROM found"
    );
    let mut statement = edges.prepare_cached(&sql)?;
    let names = statement.query_map(params![start, i64::try_from(depth)?], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}
