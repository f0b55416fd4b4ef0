//! fjall, a log-structured store: the same events under the same three keys, synced at every batch.

use std::path::Path;
use std::time::Instant;

use fjall::{Database, KeyspaceCreateOptions, PersistMode};

use super::events::{Ids, STREAMS, events, stream};
use super::{Measured, latencies, record};

pub(super) fn batches(folder: &Path, batch: usize, count: usize) -> anyhow::Result<Measured> {
    let database = Database::builder(folder.join("fjall")).open()?;
    let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default);
    let (log, by_stream, by_id) = (keyspace("events")?, keyspace("by_stream")?, keyspace("by_id")?);
    let events = events(count);
    let mut revisions = vec![0u64; STREAMS];
    let mut position = 0u64;
    let mut latency = latencies();
    let started = Instant::now();
    for (n, batch) in events.chunks(batch).enumerate() {
        let since = Instant::now();
        let mut writes = database.batch().durability(Some(PersistMode::SyncData));
        for event in batch {
            let revision = &mut revisions[stream(n)];
            position += 1;
            let id = Ids::Growing.next().into_bytes();
            let row = [&id[..], &event.metadata, &event.payload].concat();
            let stream = (stream(n) as u64).to_be_bytes();
            writes.insert(&log, position.to_be_bytes(), row);
            writes.insert(&by_stream, [stream, revision.to_be_bytes()].concat(), position.to_be_bytes());
            writes.insert(&by_id, [&id[..], &stream].concat(), position.to_be_bytes());
            *revision += 1;
        }
        writes.commit()?;
        record(&mut latency, since);
    }
    Ok(Measured::new(count, started.elapsed(), latency))
}
