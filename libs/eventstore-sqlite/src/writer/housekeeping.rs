use std::time::{Duration, Instant};

use cairn_eventstore::Snapshot;
use cairn_kernel::StreamName;
use rusqlite::params;

use super::{PROBE_INTERVAL, Writer};
use crate::fault::WriteTrouble;

/// Snapshots written in one commit.
const SNAPSHOTS_MAX: usize = 32;
/// Room that a disk which was full must have again before appends are welcome.
const PROBE_BYTES: usize = 64 << 10;

const UPSERT_SNAPSHOT: &str = "
    INSERT INTO snapshots (stream, revision, checksum, schema, state)
    SELECT id, ?2, ?3, ?4, ?5 FROM streams WHERE name = ?1
    ON CONFLICT (stream) DO UPDATE
    SET revision = excluded.revision, checksum = excluded.checksum, schema = excluded.schema, state = excluded.state
    WHERE excluded.revision >= snapshots.revision";

impl Writer {
    /// How long the writer may sleep when nobody comes.
    pub(super) fn patience(&self) -> Duration {
        let mut patience = self.sweep.wait();
        if let Some(wait) = self.checkpoints.wait() {
            patience = patience.min(wait);
        }
        if self.is_troubled() {
            patience = patience.min(PROBE_INTERVAL);
        }
        patience
    }

    /// What is done beside appending: the log is kept short always, the rest when nobody waits or it is overdue.
    pub(super) fn housekeep(&mut self) -> Result<(), WriteTrouble> {
        match self.checkpoint_if_due() {
            // What is in the log is safe there, and appends go on as long as it has room.
            Err(WriteTrouble::Full) => self.checkpoints.put_off(PROBE_INTERVAL),
            outcome => outcome?,
        }
        if self.is_troubled() {
            self.make_room()?;
        }
        if self.shared.queue.is_empty() || self.shared.snapshots.is_pressing() {
            self.write_snapshots()?;
        }
        if self.sweep.is_due() {
            self.in_transaction(Self::sweep_step)?;
        }
        Ok(())
    }

    fn is_troubled(&self) -> bool {
        self.shared.trouble.lock().is_some()
    }

    /// When writing failed, as on a full disk: removes what need not be kept, and tries whether it works again.
    fn make_room(&mut self) -> Result<(), WriteTrouble> {
        if self.probed.elapsed() < PROBE_INTERVAL {
            return Ok(());
        }
        self.probed = Instant::now();
        self.in_transaction(Self::sweep_step)?;
        if self.space.is_low() {
            return Ok(());
        }
        self.in_transaction(|writer| {
            writer.connection.execute_batch("BEGIN IMMEDIATE")?;
            writer.connection.execute("INSERT INTO probe (filler) VALUES (zeroblob(?1))", [PROBE_BYTES])?;
            writer.connection.execute_batch("COMMIT")?;
            writer.connection.execute_batch("DELETE FROM probe")
        })?;
        self.recovered();
        Ok(())
    }

    /// Writes waiting snapshots, some at a time, until somebody appends.
    pub(super) fn write_snapshots(&mut self) -> Result<(), WriteTrouble> {
        loop {
            let some = self.shared.snapshots.some(SNAPSHOTS_MAX);
            if some.is_empty() {
                return Ok(());
            }
            let written = self.in_transaction(|writer| writer.upsert_snapshots(&some));
            // What cannot be written is dropped too: a snapshot is only a cache.
            self.shared.snapshots.done(&some);
            written?;
            if !self.shared.queue.is_empty() {
                return Ok(());
            }
        }
    }

    fn upsert_snapshots(&self, snapshots: &[(StreamName, Snapshot)]) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        for (stream, snapshot) in snapshots {
            self.connection.prepare_cached(UPSERT_SNAPSHOT)?.execute(params![
                stream.as_str(),
                snapshot.revision.0,
                crc32fast::hash(&snapshot.state),
                snapshot.schema,
                &snapshot.state[..],
            ])?;
        }
        self.connection.execute_batch("COMMIT")
    }

    /// Runs one transaction of the writer's own; rolls it back when it fails.
    fn in_transaction(&mut self, work: impl FnOnce(&mut Self) -> rusqlite::Result<()>) -> Result<(), WriteTrouble> {
        work(self).or_else(|error| {
            self.roll_back()?;
            Err(WriteTrouble::of(&error))
        })
    }
}
