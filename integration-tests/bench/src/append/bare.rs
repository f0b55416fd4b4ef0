//! SQLite without anything around it: one connection, prepared statements, a transaction per batch.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, params};

use super::disk::preallocate;
use super::events::{Ids, STREAMS, events};
use super::{Measured, latencies, record};

/// What the write-ahead log's file is lengthened to beforehand, as our event store does.
const WAL_BYTES: usize = 20 << 20;

/// The same columns, durability and uniqueness as our event store has, and as much log between two checkpoints.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -32768;
    PRAGMA wal_autocheckpoint = 4096;
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

/// `stream_of` says to which stream an event goes, from the number of its batch and its own within the batch.
pub(super) fn batches(
    folder: &Path,
    batch: usize,
    count: usize,
    stream_of: fn(usize, usize) -> usize,
    ids: Ids,
) -> anyhow::Result<Measured> {
    let connection = Connection::open(folder.join("bare.db"))?;
    connection.execute_batch(SCHEMA)?;
    preallocate(&mut OpenOptions::new().append(true).open(folder.join("bare.db-wal"))?, WAL_BYTES)?;
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
        for (at, event) in batch.iter().enumerate() {
            let stream = stream_of(n, at);
            let revision = &mut revisions[stream];
            position += 1;
            insert.execute(params![
                position,
                stream as i64,
                *revision,
                1,
                1_800_000_000_000_000i64 + position,
                position % 4_000_000_000,
                ids.next().as_bytes().as_slice(),
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
