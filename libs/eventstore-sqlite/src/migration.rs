use rusqlite::Connection;
use tracing::info;

use crate::by_stream;

/// Brings a database to the current schema, in one transaction: it is as it was, or done.
pub(crate) fn migrate(connection: &Connection, found: i64) -> rusqlite::Result<()> {
    if found < 2 {
        info!(
            "the event log's index by stream is written anew, once; this takes less than a second per million events"
        );
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {} {TO_2} COMMIT", by_stream::CREATE))?;
    }
    Ok(())
}

/// The index by stream becomes two tables. The old index gives its entries in their order.
const TO_2: &str = "
    INSERT INTO by_stream (stream, revision, position)
    SELECT stream, revision, position FROM events INDEXED BY events_by_stream ORDER BY stream, revision;
    DROP INDEX events_by_stream;
    PRAGMA user_version = 2;
";
