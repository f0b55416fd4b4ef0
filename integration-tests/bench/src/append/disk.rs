//! The disk itself: a plain file, written in order and synced.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use hdrhistogram::Histogram;
use tempfile::tempfile_in;

use super::events::{Ids, events};
use super::{Measured, latencies, record};

const PAGE: usize = 4096;
const SYNCS: usize = 500;

/// How long one page takes to become durable in a file that need not grow.
pub(super) fn sync_latency(folder: &Path) -> anyhow::Result<Histogram<u64>> {
    let mut file = tempfile_in(folder)?;
    preallocate(&mut file, SYNCS * PAGE)?;
    let mut latency = latencies();
    for n in 0..SYNCS {
        let since = Instant::now();
        file.write_all(&[n as u8; PAGE])?;
        file.sync_data()?;
        record(&mut latency, since);
    }
    Ok(latency)
}

/// Events one after the other, synced at every batch: no index, nothing to find them by.
pub(super) fn batches(folder: &Path, batch: usize, count: usize) -> anyhow::Result<Measured> {
    let mut file = OpenOptions::new().create_new(true).read(true).write(true).open(folder.join("events.log"))?;
    let events = events(count);
    let bytes: usize = events.iter().map(|event| 16 + event.metadata.len() + event.payload.len()).sum();
    preallocate(&mut file, bytes)?;
    let mut latency = latencies();
    let started = Instant::now();
    for batch in events.chunks(batch) {
        let since = Instant::now();
        let ids: Vec<uuid::Bytes> = batch.iter().map(|_| Ids::Growing.next().into_bytes()).collect();
        let rows: Vec<&[u8]> =
            batch.iter().zip(&ids).flat_map(|(event, id)| [&id[..], &event.metadata, &event.payload]).collect();
        file.write_all(&rows.concat())?;
        file.sync_data()?;
        record(&mut latency, since);
    }
    Ok(Measured::new(count, started.elapsed(), latency))
}

/// Appends zeros once, so that syncing has no new blocks to note down, and goes back to the start.
pub(super) fn preallocate(file: &mut File, bytes: usize) -> anyhow::Result<()> {
    let zeros = vec![0; 1 << 20];
    for _ in 0..bytes.div_ceil(zeros.len()) {
        file.write_all(&zeros)?;
    }
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(())
}
