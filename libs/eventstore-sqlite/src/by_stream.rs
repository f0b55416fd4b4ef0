//! Where the events of a stream are: which position each revision has.
//!
//! Clients that append at the same time write to as many streams, and each stream ends in a page of its own: one event in
//! each of 256 streams would change 256 pages of an index by stream, and a commit costs what it writes. So there are two
//! tables of the same shape. New entries go to the recent one, which is small enough that a commit changes most of its few
//! pages; from there they move to the large one some at a time, in order, so that a page of it takes several at once. Both
//! are ordinary tables of the same transactions: which of them holds an entry is seen by nobody who asks for both.

use cairn_eventstore::Direction;
use rusqlite::Connection;

pub(crate) const CREATE: &str = "
    CREATE TABLE by_stream (
        stream INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (stream, revision)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE by_stream_recent (
        stream INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (stream, revision)
    ) STRICT, WITHOUT ROWID;
";

/// Which of the two tables to ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tables {
    Both,
    /// For a stream without recent entries, as long as that is so: within one snapshot.
    Large,
}

impl Tables {
    /// Those that have entries of this stream.
    pub(crate) fn of(stream: i64, connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT EXISTS (SELECT 1 FROM by_stream_recent WHERE stream = ?1)";
        let is_recent = connection.prepare_cached(sql)?.query_row([stream], |row| row.get(0))?;
        Ok(if is_recent { Self::Both } else { Self::Large })
    }
}

/// Reads a stretch of a stream: events in the form of [`COLUMNS`](crate::row::COLUMNS). Parameters: the stream, the first
/// revision, how many at most.
///
/// An entry whose event is missing gives a row without one, which nobody takes for an event. The checksum is held against
/// the stream and revision of the entry.
pub(crate) fn events_sql(direction: Direction, tables: Tables) -> String {
    stretch_sql("e.kind, e.time, e.checksum, e.id, e.metadata, e.payload", direction, tables)
}

/// The same with nothing but position, stream, revision and time.
pub(crate) fn times_sql() -> String {
    stretch_sql("e.time", Direction::Forwards, Tables::Both)
}

fn stretch_sql(columns: &str, direction: Direction, tables: Tables) -> String {
    let (bound, order) = match direction {
        Direction::Forwards => (">=", "ASC"),
        Direction::Backwards => ("<=", "DESC"),
    };
    let of =
        |table| format!("SELECT position, stream, revision FROM {table} WHERE stream = ?1 AND revision {bound} ?2");
    let entries = match tables {
        Tables::Both => format!("{} UNION ALL {}", of("by_stream"), of("by_stream_recent")),
        Tables::Large => of("by_stream"),
    };
    // Merged first and joined then: the entries are small, and events are not carried through the merge. A left join
    // follows its left side, so the order stays; asked for once more, everything would be sorted.
    format!(
        "SELECT i.position, i.stream, i.revision, {columns}
         FROM ({entries} ORDER BY 3 {order} LIMIT ?3) i LEFT JOIN events e ON e.position = i.position"
    )
}

/// The stream's last revision.
pub(crate) fn last_revision(connection: &Connection, stream: i64) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT max(last) FROM (
                   SELECT max(revision) AS last FROM by_stream WHERE stream = ?1
                   UNION ALL
                   SELECT max(revision) FROM by_stream_recent WHERE stream = ?1)";
    connection.prepare_cached(sql)?.query_row([stream], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(sql: &str) -> String {
        let connection = Connection::open_in_memory().expect("a database in memory opens");
        crate::schema::create(&connection).expect("the schema is created");
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("it is valid");
        let rows = statement.query_map([], |row| row.get::<_, String>(3)).expect("it is explained");
        rows.map(|row| row.expect("a step")).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_stream_is_read_in_order_without_being_sorted() {
        for direction in [Direction::Forwards, Direction::Backwards] {
            let plan_of = |tables| plan(&events_sql(direction, tables).replace('?', "+"));
            let (both, large) = (plan_of(Tables::Both), plan_of(Tables::Large));
            assert!(both.starts_with("CO-ROUTINE i; MERGE (UNION ALL)"), "{both}");
            for plan in [both, large] {
                assert!(plan.contains("SEARCH by_stream USING PRIMARY KEY"), "{plan}");
                assert!(!plan.contains("B-TREE") && !plan.contains("SCAN by_stream"), "{plan}");
            }
        }
    }
}
