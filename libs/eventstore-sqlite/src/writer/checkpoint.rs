use std::time::{Duration, Instant};

use rusqlite::Connection;
use tracing::debug;

use super::Writer;
use crate::fault::WriteTrouble;

/// Pages of this size are the unit of the write-ahead log (a frame has a header beside).
const FRAME_BYTES: u64 = 4096 + 24;
/// What an event adds to the log beside its own bytes: a page of each index and, in a small commit, of the table.
const LOG_BYTES_PER_EVENT: u64 = 3 * FRAME_BYTES;
/// What an entry of the index by stream adds that moves on: at most a page where it came from and one where it goes.
const LOG_BYTES_PER_MOVE: u64 = 2 * FRAME_BYTES;
/// What a commit adds beside: pages that split.
const LOG_BYTES_PER_COMMIT: u64 = 2 * FRAME_BYTES;
/// How long the writer waits for readers so that the log can start anew. They read a page at a time.
const READERS_PASS_MAX: Duration = Duration::from_millis(100);
/// After so long without appends, what is in the log is moved into the database at leisure.
const LEISURE: Duration = Duration::from_secs(2);

/// When to move the write-ahead log into the database.
pub(super) struct Checkpoints {
    bytes_max: u64,
    /// An estimate, at least what was written, since the log's size was last asked for.
    unseen_bytes: u64,
    last_write: Instant,
    is_clean: bool,
    /// Not before then, because the disk had no room.
    put_off_to: Instant,
}

impl Checkpoints {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, unseen_bytes: 0, last_write: Instant::now(), is_clean: false, put_off_to: Instant::now() }
    }

    /// Notes a commit of events, and of entries that moved with it. Gives the bytes it added to the log, by estimate.
    pub(super) fn wrote(&mut self, bytes: usize, events: usize, moved: usize) -> u64 {
        let moved = moved as u64 * LOG_BYTES_PER_MOVE;
        let logged = bytes as u64 + events as u64 * LOG_BYTES_PER_EVENT + moved + LOG_BYTES_PER_COMMIT;
        self.unseen_bytes += logged;
        self.last_write = Instant::now();
        self.is_clean = false;
        logged
    }

    /// How long until there may be something to do.
    pub(super) fn wait(&self) -> Option<Duration> {
        let due = (self.last_write + LEISURE).max(self.put_off_to);
        (!self.is_clean).then(|| due.saturating_duration_since(Instant::now()))
    }

    /// Tries again after `delay`, and not at once for ever.
    pub(super) fn put_off(&mut self, delay: Duration) {
        self.put_off_to = Instant::now() + delay;
        self.is_clean = false;
        self.unseen_bytes = self.bytes_max;
    }
}

impl Writer {
    /// Moves the log into the database when it is large, or when nobody is there to be held up.
    pub(super) fn checkpoint_if_due(&mut self) -> Result<(), WriteTrouble> {
        let is_leisure = !self.checkpoints.is_clean && self.checkpoints.last_write.elapsed() >= LEISURE;
        let is_due = self.checkpoints.unseen_bytes >= self.checkpoints.bytes_max / 4 || is_leisure;
        if !is_due || Instant::now() < self.checkpoints.put_off_to {
            return Ok(());
        }
        self.checkpoints.unseen_bytes = 0;
        let written = checkpoint(&self.connection, "NOOP").map_err(|error| WriteTrouble::of(&error))?.logged;
        self.shared.meters.wal_bytes.set(written as f64);
        if written >= self.checkpoints.bytes_max || is_leisure {
            self.move_log().map_err(|error| WriteTrouble::of(&error))?;
            self.checkpoints.is_clean = true;
        }
        Ok(())
    }

    /// Moves the log into the database, and sees to it that the next append starts it anew at the front.
    ///
    /// SQLite does that only if everything was moved and nobody reads from the log any more; but what somebody who began
    /// earlier still needs is not moved. With a few who read without pause there would always be one, and the log would
    /// grow for ever. So most of it is moved beside them, and the rest while they step aside for a moment.
    fn move_log(&self) -> rusqlite::Result<()> {
        // PASSIVE waits for nobody.
        let done = checkpoint(&self.connection, "PASSIVE")?;
        let Some(_alone) = self.shared.gate.try_write_for(READERS_PASS_MAX) else {
            debug!("a slow read holds up the write-ahead log; it is started anew after a later checkpoint");
            return Ok(());
        };
        if done.moved < done.logged {
            checkpoint(&self.connection, "PASSIVE")?;
        }
        Ok(())
    }

    /// Moves all of the log into the database, as the last thing.
    pub(super) fn checkpoint_all(&self) -> Result<(), WriteTrouble> {
        checkpoint(&self.connection, "TRUNCATE").map(drop).map_err(|error| WriteTrouble::of(&error))
    }
}

/// Bytes of the log, and how many of them are in the database.
struct Extent {
    logged: u64,
    moved: u64,
}

/// Checkpoints in the given mode.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Extent> {
    let mut statement = connection.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    let bytes = |frames: i64| u64::try_from(frames).unwrap_or(0) * FRAME_BYTES;
    statement.query_row([], |row| Ok(Extent { logged: bytes(row.get(1)?), moved: bytes(row.get(2)?) }))
}
