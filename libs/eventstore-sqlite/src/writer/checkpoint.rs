use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::Writer;
use crate::fault::WriteTrouble;

/// Pages of this size are the unit of the write-ahead log (a frame has a header beside).
const FRAME_BYTES: u64 = 4096 + 24;
/// Written bytes per stored byte, about: rows, indexes, and pages written anew for each small commit.
const LOG_BYTES_PER_EVENT: u64 = 2 * FRAME_BYTES;
/// After so long without appends, what is in the log is moved into the database at leisure.
const LEISURE: Duration = Duration::from_secs(2);

/// When to move the write-ahead log into the database.
pub(super) struct Checkpoints {
    bytes_max: u64,
    /// An estimate, at least what was written, since the log's size was last asked for.
    unseen_bytes: u64,
    last_write: Instant,
    is_clean: bool,
}

impl Checkpoints {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, unseen_bytes: 0, last_write: Instant::now(), is_clean: false }
    }

    pub(super) fn wrote(&mut self, bytes: usize, events: usize) {
        self.unseen_bytes += bytes as u64 + events as u64 * LOG_BYTES_PER_EVENT + FRAME_BYTES;
        self.last_write = Instant::now();
        self.is_clean = false;
    }

    /// How long until there may be something to do.
    pub(super) fn wait(&self) -> Option<Duration> {
        (!self.is_clean).then(|| (self.last_write + LEISURE).saturating_duration_since(Instant::now()))
    }
}

impl Writer {
    /// Moves the log into the database when it is large, or when nobody is there to be held up.
    pub(super) fn checkpoint_if_due(&mut self) -> Result<(), WriteTrouble> {
        let is_leisure = !self.checkpoints.is_clean && self.checkpoints.last_write.elapsed() >= LEISURE;
        if self.checkpoints.unseen_bytes < self.checkpoints.bytes_max / 4 && !is_leisure {
            return Ok(());
        }
        self.checkpoints.unseen_bytes = 0;
        let written = wal_bytes(&self.connection, "NOOP").map_err(|error| WriteTrouble::of(&error))?;
        self.shared.meters.wal_bytes.set(written as f64);
        if written >= self.checkpoints.bytes_max || is_leisure {
            // PASSIVE waits for no reader; what they still need is moved next time.
            wal_bytes(&self.connection, "PASSIVE").map_err(|error| WriteTrouble::of(&error))?;
            self.checkpoints.is_clean = true;
        }
        Ok(())
    }

    /// Moves all of the log into the database, as the last thing.
    pub(super) fn checkpoint_all(&self) -> Result<(), WriteTrouble> {
        wal_bytes(&self.connection, "TRUNCATE").map(drop).map_err(|error| WriteTrouble::of(&error))
    }
}

/// Checkpoints in the given mode and tells how large the log was.
fn wal_bytes(connection: &Connection, mode: &str) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    let frames: i64 = statement.query_row([], |row| row.get(1))?;
    Ok(u64::try_from(frames).unwrap_or(0) * FRAME_BYTES)
}
