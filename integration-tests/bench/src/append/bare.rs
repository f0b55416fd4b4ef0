//! SQLite without anything around it: one connection, prepared statements, a transaction per batch.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, params};

use super::events::{STREAMS, events, stream};
use super::{Measured, latencies, record};

/// The same columns, indexes and durability as our event store has.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -32768;
    CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        time INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        id BLOB NOT NULL,
        metadata BLOB NOT NULL,
        payload BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX events_by_stream ON events (stream, revision);
    CREATE UNIQUE INDEX events_by_id ON events (id, stream);
";
const INSERT: &str = "
    INSERT INTO events (position, stream, revision, kind, time, checksum, id, metadata, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

pub(super) fn batches(folder: &Path, batch: usize, count: usize) -> anyhow::Result<Measured> {
    let connection = Connection::open(folder.join("bare.db"))?;
    connection.execute_batch(SCHEMA)?;
    let events = events(count);
    let mut revisions = vec![0i64; STREAMS];
    let mut position = 0i64;
    let mut latency = latencies();
    let mut insert = connection.prepare(INSERT)?;
    let (mut begin, mut commit) = (connection.prepare("BEGIN IMMEDIATE")?, connection.prepare("COMMIT")?);
    let started = Instant::now();
    for (n, batch) in events.chunks(batch).enumerate() {
        let since = Instant::now();
        begin.execute([])?;
        for event in batch {
            let revision = &mut revisions[stream(n)];
            position += 1;
            insert.execute(params![
                position,
                stream(n) as i64,
                *revision,
                1,
                1_800_000_000_000_000i64 + position,
                position % 4_000_000_000,
                event.id.as_bytes().as_slice(),
                &event.metadata[..],
                &event.payload[..],
            ])?;
            *revision += 1;
        }
        commit.execute([])?;
        record(&mut latency, since);
    }
    Ok(Measured::new(count, started.elapsed(), latency))
}
