//! The one thread that writes: appends, retention, snapshots, checkpoints.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use cairn_eventstore::{AppendFault, Fresh, Ring, WaitingSnapshots};
use cairn_kernel::{Clock, Position, Time};
use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, OptionalExtension};
use tracing::{error, info, warn};

use crate::fault::WriteTrouble;
use crate::lock::FolderLock;
use crate::meters::Meters;
use crate::query::Dictionary;
use crate::queue::{BatchRoom, Job, Queue, Taken};
use crate::{Config, OpenFault};

mod answers;
mod append;
mod checkpoint;
mod heads;
mod housekeeping;
mod index;
mod repeat;
mod replica;
mod retain;
mod space;
mod take_over;
mod wal;

use answers::Answers;
use checkpoint::Checkpoints;
use heads::Heads;
use index::StreamIndex;
pub(crate) use replica::{Replica, known as replicated};
use retain::Sweep;
use space::Space;
use wal::Wal;

/// Bytes of events committed together at most; a single append may be larger.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// Clients just answered get this part of the last commit's time to come again before the next one is made.
const GRACE_SHARE: u32 = 4;
const GRACE_MAX: Duration = Duration::from_millis(2);
/// How long the writer looks out for the next append before it sleeps: this part of the last commit's time, since that
/// is what an append costs anyway, and no more than a thread's sleep and waking take.
const ATTENTION_SHARE: u32 = 4;
const ATTENTION_MAX: Duration = Duration::from_micros(50);
/// After a batch of more clients than these the writer does not look out.
const ATTENTION_CLIENTS_MAX: usize = 4;
/// How often a full disk is tried again while nobody appends.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// Called when the disk failed to keep what it was given. Ends the process; a test may look on instead.
pub(crate) type LostDisk = Box<dyn Fn(&str) + Send>;

/// What the writer shares with callers and readers.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) ring: Ring,
    pub(crate) dictionary: Dictionary,
    pub(crate) snapshots: WaitingSnapshots,
    /// Held by whoever reads from the database, so that the writer can wait for them.
    pub(crate) gate: Arc<RwLock<()>>,
    pub(crate) trouble: Mutex<Option<AppendFault>>,
    /// Entries of the primary log that are here, where this is a copy.
    pub(crate) held: AtomicU64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) meters: Meters,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    connection: Connection,
    room: BatchRoom,
    /// How many were answered last, and how long their commit took.
    answered: usize,
    commit_took: Duration,
    heads: Heads,
    index: StreamIndex,
    /// Last position and time given out.
    position: u64,
    time: Time,
    checkpoints: Checkpoints,
    wal: Wal,
    space: Space,
    sweep: Sweep,
    probed: Instant,
    /// Where this is a copy of a log elsewhere.
    replica: Option<Replica>,
    on_lost_disk: LostDisk,
    /// Held as long as this thread may write.
    _lock: FolderLock,
}

/// Where the log ends.
pub(crate) fn last_event(connection: &Connection) -> rusqlite::Result<(u64, Time)> {
    let sql = "SELECT position, time FROM events ORDER BY position DESC LIMIT 1";
    let last = connection.query_row(sql, [], |row| Ok((row.get(0)?, Time::from_micros(row.get(1)?)))).optional()?;
    Ok(last.unwrap_or((0, Time::from_micros(i64::MIN))))
}

impl Writer {
    pub(crate) fn new(
        config: &Config,
        shared: Arc<Shared>,
        connection: Connection,
        lock: FolderLock,
        replica: Option<Replica>,
        on_lost_disk: LostDisk,
    ) -> Result<Self, OpenFault> {
        let failed = |source| OpenFault::Sqlite { path: config.path.clone(), source };
        let (position, time) = last_event(&connection).map_err(failed)?;
        let index = StreamIndex::load(&connection).map_err(failed)?;
        Ok(Self {
            shared,
            connection,
            room: BatchRoom {
                events: config.batch_events_max,
                bytes: replica.as_ref().map_or(BATCH_BYTES_MAX, Replica::batch_bytes_max),
            },
            answered: 0,
            commit_took: Duration::ZERO,
            heads: Heads::new(config.cached_heads_max),
            index,
            position,
            time,
            checkpoints: Checkpoints::new(config.checkpoint_bytes),
            wal: Wal::new(&config.path, config.checkpoint_bytes.saturating_mul(5) / 4),
            space: Space::new(&config.path, config.free_bytes_min),
            sweep: Sweep::new(config.sweep_interval()),
            probed: Instant::now(),
            replica,
            on_lost_disk,
            _lock: lock,
        })
    }

    /// Serves the queue until it is closed and empty, or the disk is lost.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        self.prepare_wal();
        loop {
            let goes_on = match shared.queue.take(&self.room, self.attention(), self.patience()) {
                Taken::Jobs(jobs) => self.serve(jobs) && self.look_after_the_house(),
                Taken::Nothing => self.look_after_the_house(),
                Taken::Closed => break,
            };
            if !goes_on {
                return;
            }
        }
        if let Err(trouble) = self.write_snapshots().and_then(|()| self.checkpoint_all()) {
            warn!(?trouble, "the event log was closed untidily; opening it again tidies up");
        }
    }

    /// How long to look out before sleeping. Of many clients the first is back while the others are still being told, and
    /// they need the processor more.
    fn attention(&self) -> Duration {
        match self.answered {
            0..=ATTENTION_CLIENTS_MAX => (self.commit_took / ATTENTION_SHARE).min(ATTENTION_MAX),
            _ => Duration::ZERO,
        }
    }

    /// Prepares the log before anybody comes. Nothing depends on it.
    fn prepare_wal(&mut self) {
        if self.begin().is_ok() {
            // Nothing was written.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// Commits a batch and answers everybody in it. `false`: the disk is lost.
    fn serve(&mut self, jobs: Vec<Job>) -> bool {
        let started = Instant::now();
        let mut answers = Answers::default();
        if self.space.is_low() {
            return self.send_away(jobs, answers);
        }
        match self.commit(jobs, &mut answers) {
            Ok(fresh) => {
                // A batch that stored nothing needed no room, and says nothing about it.
                if !fresh.is_empty() {
                    self.recovered();
                }
                self.commit_took = started.elapsed();
                self.answered = answers.jobs();
                self.shared.meters.commit_seconds.record(self.commit_took);
                self.publish(fresh, answers.is_retention_changed());
                self.shared.queue.leave(answers.jobs(), answers.bytes());
                answers.give(&self.shared.meters);
                true
            }
            Err(error) => {
                let trouble = WriteTrouble::of(&error);
                // Before anybody is answered: on a lost disk the process ends here.
                let goes_on = self.endure(&trouble) && self.rolls_back();
                self.shared.queue.leave(answers.jobs(), answers.bytes());
                answers.refuse(&trouble.answer(), &self.shared.meters);
                goes_on
            }
        }
    }

    /// Refuses everybody for want of space, before anything is written.
    fn send_away(&self, jobs: Vec<Job>, mut answers: Answers) -> bool {
        let trouble = WriteTrouble::Full;
        let goes_on = self.endure(&trouble);
        jobs.into_iter().for_each(|job| answers.wait(job));
        self.shared.queue.leave(answers.jobs(), answers.bytes());
        answers.refuse(&trouble.answer(), &self.shared.meters);
        goes_on
    }

    fn look_after_the_house(&mut self) -> bool {
        self.housekeep().map_or_else(|trouble| self.endure(&trouble), |()| true)
    }

    fn rolls_back(&mut self) -> bool {
        self.roll_back().map_or_else(|trouble| self.endure(&trouble), |()| true)
    }

    /// Carries out the jobs in one transaction, and those of whoever comes meanwhile.
    ///
    /// INVARIANT: nothing is shown or answered before this returned; on an error nothing of it is in the database.
    fn commit(&mut self, jobs: Vec<Job>, answers: &mut Answers) -> rusqlite::Result<Vec<Fresh>> {
        if let Some(mut replica) = self.replica.take() {
            let committed = self.commit_after_primary(&mut replica, jobs, answers);
            self.replica = Some(replica);
            return committed;
        }
        if let Err(error) = self.begin() {
            jobs.into_iter().for_each(|job| answers.wait(job));
            return Err(error);
        }
        let begun = Instant::now();
        let (grace, open) = ((self.commit_took / GRACE_SHARE).min(GRACE_MAX), self.commit_took.max(GRACE_MAX));
        let (mut jobs, mut room, mut fresh) = (jobs, self.room, vec![]);
        while !jobs.is_empty() {
            room = room.without(&jobs);
            self.carry_out(jobs, &mut fresh, answers)?;
            // However many come: whoever was first waits no longer than for two commits.
            if begun.elapsed() >= open {
                break;
            }
            jobs = self.shared.queue.more(&room, self.answered.saturating_sub(answers.jobs()), begun + grace);
        }
        self.index.settle(&self.connection)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.shared.meters.batch_events.record(fresh.len() as f64);
        Ok(fresh)
    }

    fn begin(&mut self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        if self.wal.is_short() {
            self.wal.prepare();
        }
        Ok(())
    }

    /// Carries out jobs in the open transaction. Whoever is not reached is answered as the batch is.
    fn carry_out(&mut self, jobs: Vec<Job>, fresh: &mut Vec<Fresh>, answers: &mut Answers) -> rusqlite::Result<()> {
        let mut jobs = jobs.into_iter();
        let outcome = jobs.by_ref().try_for_each(|job| self.carry_out_one(job, fresh, answers));
        jobs.for_each(|job| answers.wait(job));
        outcome
    }

    fn carry_out_one(&mut self, job: Job, fresh: &mut Vec<Fresh>, answers: &mut Answers) -> rusqlite::Result<()> {
        match job {
            Job::Append { writes, bytes, queued, answer, .. } => match self.append(&writes, fresh) {
                Ok(outcome) => answers.append(outcome, bytes, queued, answer),
                Err(error) => {
                    answers.append(Err(WriteTrouble::of(&error).answer()), bytes, queued, answer);
                    return Err(error);
                }
            },
            Job::Retain { stream, retention, answer } => match self.retain(&stream, retention) {
                Ok(outcome) => answers.retain(outcome, answer),
                Err(error) => {
                    answers.retain(Err(WriteTrouble::of(&error).answer()), answer);
                    return Err(error);
                }
            },
            // Nobody has a copy followed that is none.
            job @ Job::Follow { .. } => answers.wait(job),
            Job::TakeOver { events, bytes, answer } => match self.take_over(&events, fresh) {
                Ok(outcome) => answers.take_over(outcome, bytes, answer),
                Err(error) => {
                    answers.take_over(Err(WriteTrouble::of(&error).answer()), bytes, answer);
                    return Err(error);
                }
            },
        }
        Ok(())
    }

    fn publish(&mut self, fresh: Vec<Fresh>, is_retention_changed: bool) {
        let bytes: usize = fresh.iter().map(|fresh| fresh.event.payload.len() + fresh.event.metadata.len()).sum();
        self.shared.meters.appended_events.increment(fresh.len() as u64);
        self.shared.meters.appended_bytes.increment(bytes as u64);
        let logged = self.checkpoints.wrote(bytes, fresh.len(), self.index.take_moved());
        self.wal.wrote(logged);
        self.shared.ring.publish(fresh);
        if is_retention_changed {
            self.shared.ring.clear();
        }
        self.shared.meters.head_position.set(self.position as f64);
    }

    /// Goes back to what the database holds.
    fn roll_back(&mut self) -> Result<(), WriteTrouble> {
        let read = || {
            if !self.connection.is_autocommit() {
                self.connection.execute_batch("ROLLBACK")?;
            }
            self.shared.dictionary.kinds.reload(&self.connection)?;
            self.shared.dictionary.categories.reload(&self.connection)?;
            Ok((last_event(&self.connection)?, StreamIndex::load(&self.connection)?))
        };
        let ((position, time), index) = read().map_err(|error| WriteTrouble::of(&error))?;
        debug_assert_eq!(Position(position), self.shared.ring.head(), "what was rolled back had been shown");
        (self.position, self.time) = (position, time);
        self.index = index;
        self.heads.clear();
        Ok(())
    }

    /// Notes what is wrong. `false`: the writer must not go on.
    fn endure(&self, trouble: &WriteTrouble) -> bool {
        let is_new = self.shared.trouble.lock().replace(trouble.answer()) != Some(trouble.answer());
        match trouble {
            WriteTrouble::Full if is_new => {
                error!("the event store's disk is full: appends are refused until there is space")
            }
            WriteTrouble::Other(why) if is_new => error!(why, "the event store could not write"),
            WriteTrouble::Full | WriteTrouble::Other(_) => {}
            WriteTrouble::LostDisk(why) => {
                error!(why, "the disk failed to keep what it was given");
                (self.on_lost_disk)(why);
                self.shared.queue.fail(trouble.answer());
                return false;
            }
        }
        true
    }

    fn recovered(&self) {
        if self.shared.trouble.lock().take().is_some() {
            info!("the event store can write again");
        }
    }
}

/// Ends the process at once, before anybody can be told that an append succeeded.
pub(crate) fn end_process(why: &str) {
    error!(why, "ending the process: what the disk holds decides at the next start");
    std::process::abort();
}

impl Drop for Writer {
    /// However the thread ends, by panic too: nobody waits for it in vain.
    fn drop(&mut self) {
        self.shared.queue.fail(AppendFault::Unavailable("its writer has ended".into()));
    }
}
