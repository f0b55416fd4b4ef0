use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_kernel::Position;
use parking_lot::MutexGuard;
use rusqlite::TransactionBehavior;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::batch::{self, Batch, CommitFault, Poison};
use crate::catalog::{self, Checkpoint};
use crate::definition::Definition;
use crate::follower::{Feed, News, Replacement, Start};
use crate::read_model::{ReadModel, Writer};
use crate::rebuild::{self, Purpose, RebuildFault, Source};
use crate::status::Status;
use crate::view::Limits;

/// First and longest pause after a failed write.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(2));
/// A view that is so many events behind has enough of them for a batch.
const LINGER_LAG_MAX: u64 = 256;

/// The thread of one view: the only writer of its tables.
pub(crate) struct Applier {
    pub definition: Definition,
    pub source: Source,
    pub model: ReadModel,
    pub limits: Limits,
    pub status: Arc<Status>,
    pub feeds: mpsc::Receiver<Feed>,
    /// Tells the follower where to read from.
    pub starts: watch::Sender<Start>,
    /// Tells readers how far the view is. Dropped when the thread ends.
    pub position: watch::Sender<Position>,
    pub generation: watch::Receiver<u64>,
    pub stop: CancellationToken,
    /// What is in the file. `position` runs ahead of it over events that were not wanted.
    pub checkpoint: Checkpoint,
    /// When events were last folded in.
    pub committed: Option<Instant>,
}

/// The view cannot go on.
struct Stopped;

impl Applier {
    /// Goes on until the view is stopped, or is written by somebody else too.
    pub fn run(mut self) {
        // The thread ends either way; what was not kept is read again.
        let _ = self.build_first().and_then(|()| self.follow());
        self.model.release(self.definition.name);
    }

    fn follow(&mut self) -> Result<(), Stopped> {
        let mut waiting = VecDeque::new();
        while let Some(feed) = waiting.pop_front().or_else(|| self.feeds.blocking_recv()) {
            if self.stop.is_cancelled() {
                break;
            }
            self.take(feed, &mut waiting)?;
        }
        self.keep(&Batch::nothing(self.status.position()))
    }

    fn take(&mut self, feed: Feed, waiting: &mut VecDeque<Feed>) -> Result<(), Stopped> {
        let current = self.starts.borrow().number;
        match feed {
            Feed::Replacement(replacement) => self.replace(replacement),
            Feed::Log { start, .. } if start != current => Ok(()),
            Feed::Log { news: News::NewFile, .. } => self.reread(),
            Feed::Log { news: News::OtherHistory(why), .. } => self.start_over(&why),
            Feed::Log { news: News::Events(..) | News::Nothing(_), .. } => {
                self.linger();
                let batch = self.gather(feed, waiting);
                self.advance(batch)
            }
        }
    }

    /// Lets events come together before a commit that nobody waits for: it costs the same for one as for many. A view
    /// that was idle goes on at once, and so does one that is far behind.
    fn linger(&self) {
        let Some(until) = self.committed.map(|committed| committed + self.limits.linger) else { return };
        while self.status.lag() < LINGER_LAG_MAX && !self.status.is_awaited() && !self.stop.is_cancelled() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }

    /// Puts everything that is waiting into one batch, up to its limits. What was seen before is left out.
    fn gather(&mut self, first: Feed, waiting: &mut VecDeque<Feed>) -> Batch {
        let current = self.starts.borrow().number;
        let mut batch = Batch::nothing(self.status.position());
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(feed) = next.take() {
            match feed {
                Feed::Log { start, news: News::Events(events, taken) } if start == current => {
                    batch.room.push(taken);
                    for event in events {
                        if event.position > batch.to {
                            bytes += event.payload.len() + event.metadata.len();
                            batch.to = event.position;
                            batch.events.push(event);
                        }
                    }
                }
                Feed::Log { start, news: News::Nothing(position) } if start == current => {
                    batch.to = batch.to.max(position);
                }
                other => {
                    waiting.push_back(other);
                    break;
                }
            }
            if batch.events.len() >= self.limits.batch_events_max || bytes >= self.limits.batch_bytes_max {
                break;
            }
            next = self.feeds.try_recv().ok();
        }
        batch
    }

    /// Folds a batch in and lets readers know. Where nothing was wanted, the file hears of it only now and then.
    fn advance(&mut self, batch: Batch) -> Result<(), Stopped> {
        let is_far = batch.to.0 >= self.checkpoint.position.0 + self.limits.unwanted_events_max;
        if batch.events.is_empty() && !is_far {
            self.position.send_replace(batch.to);
            return Ok(());
        }
        self.keep(&batch)
    }

    /// Commits a batch, as often as it takes.
    fn keep(&mut self, batch: &Batch) -> Result<(), Stopped> {
        if batch.to == self.checkpoint.position {
            return Ok(());
        }
        let mut pause = PAUSES.0;
        loop {
            let began = Instant::now();
            let mut writer = self.model.writer();
            if self.generation.has_changed().unwrap_or(false) {
                drop(writer);
                return self.reread();
            }
            let committed = match writer.connection() {
                Ok(connection) => batch::commit(connection, &self.definition, &self.checkpoint, batch),
                Err(fault) => Err(CommitFault::Passing(fault)),
            };
            MutexGuard::unlock_fair(writer);
            match committed {
                Ok(committed) => {
                    self.status.writes();
                    self.report(&committed.poison);
                    self.checkpoint = committed.checkpoint;
                    self.committed = Some(Instant::now());
                    self.position.send_replace(batch.to);
                    self.status.applied(batch.events.len(), began.elapsed());
                    return Ok(());
                }
                Err(CommitFault::Passing(fault)) => {
                    self.status.cannot_write(&fault.to_string());
                    self.pause(pause)?;
                    pause = (pause * 2).min(PAUSES.1);
                }
                Err(CommitFault::Corrupt(fault)) => {
                    tracing::warn!(view = self.definition.name, %fault, "read model is corrupt and starts from nothing");
                    return self.new_file();
                }
                Err(fault @ CommitFault::Fenced) => {
                    self.status.cannot_write(&fault.to_string());
                    tracing::error!(view = self.definition.name, %fault, "view is written by another process and stops");
                    return Err(Stopped);
                }
            }
        }
    }

    /// The file is a new one, or was found to be corrupt and becomes one.
    fn new_file(&mut self) -> Result<(), Stopped> {
        let mut pause = PAUSES.0;
        while let Err(fault) = self.model.start_over(&self.generation) {
            self.status.cannot_write(&fault.to_string());
            self.pause(pause)?;
            pause = (pause * 2).min(PAUSES.1);
        }
        self.reread()
    }

    /// Goes on from what the file says.
    fn reread(&mut self) -> Result<(), Stopped> {
        let name = self.definition.name;
        let (checkpoint, quarantined) = self.write(|writer, generation| {
            generation.mark_unchanged();
            let connection = writer.connection()?;
            Ok((catalog::checkpoint(connection, name)?.unwrap_or_default(), catalog::quarantined(connection, name)?))
        })?;
        self.start_from(checkpoint, quarantined);
        self.build_first()
    }

    /// Empties the tables and reads the log from its start.
    fn start_over(&mut self, why: &str) -> Result<(), Stopped> {
        tracing::warn!(view = self.definition.name, why, "view does not fit the log and starts over");
        let definition = self.definition.clone();
        self.write(|writer, _| {
            let tx = writer.connection()?.transaction_with_behavior(TransactionBehavior::Immediate)?;
            catalog::start_over(&tx, &definition)?;
            tx.commit()
        })?;
        self.start_from(Checkpoint::default(), 0);
        self.build_first()
    }

    /// A view with nothing in it and a long log to read is built beside its file, which is much faster: nothing of it
    /// has to survive a crash, and the indexes that only readers need come last. Readers see an empty view until then.
    ///
    /// If that does not succeed, the view follows the log from its start like any other.
    fn build_first(&mut self) -> Result<(), Stopped> {
        let head = *self.source.store.head().borrow();
        if self.checkpoint.position != Position::START || head.0 < self.limits.beside_events_min {
            return Ok(());
        }
        let scratch = self.source.scratch(Purpose::First);
        let name = self.definition.name;
        let replaced = match self.source.build_whole(&scratch, head) {
            Ok(rebuilt) => {
                tracing::info!(view = name, events = rebuilt.events, took = ?rebuilt.took, "view is built");
                self.take_over(&scratch.0, false)?
            }
            Err(fault) => Err(fault),
        };
        if let Err(fault) = replaced
            && !self.stop.is_cancelled()
        {
            tracing::warn!(view = name, %fault, "view cannot be built beside its file and follows the log instead");
        }
        Ok(())
    }

    /// Puts a second build in the place of the tables. If that fails they stay as they are, and whoever asked hears why.
    fn replace(&mut self, replacement: Replacement) -> Result<(), Stopped> {
        let answer = self.take_over(&replacement.built, true)?;
        // Whoever asked may have gone.
        let _ = replacement.done.send(answer);
        Ok(())
    }

    /// INVARIANT: readers are never taken back: the build first learns what the view has seen meanwhile.
    fn take_over(&mut self, built: &Path, is_doubtful: bool) -> Result<Result<(), RebuildFault>, Stopped> {
        let swapped = self.source.go_on(built, self.status.position()).and_then(|_| {
            let mut writer = self.model.writer();
            Ok(writer
                .connection()
                .and_then(|connection| rebuild::swap(connection, &self.definition, built, is_doubtful))?)
        });
        if let Err(fault) = swapped {
            return Ok(Err(fault));
        }
        self.reread()?;
        Ok(Ok(()))
    }

    fn start_from(&mut self, checkpoint: Checkpoint, quarantined: u64) {
        self.checkpoint = checkpoint;
        self.status.set_quarantined(quarantined);
        self.position.send_replace(checkpoint.position);
        self.starts.send_modify(|start| *start = Start { number: start.number + 1, checkpoint });
    }

    /// Does something to the file, as often as it takes.
    fn write<T>(
        &mut self,
        mut work: impl FnMut(&mut Writer, &mut watch::Receiver<u64>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Stopped> {
        let mut pause = PAUSES.0;
        loop {
            let done = work(&mut self.model.writer(), &mut self.generation);
            match done {
                Ok(done) => return Ok(done),
                Err(fault) => self.status.cannot_write(&fault.to_string()),
            }
            self.pause(pause)?;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    fn report(&self, poison: &[Poison]) {
        for Poison { event, error } in poison {
            tracing::error!(
                view = self.definition.name,
                position = %event.position,
                stream = %event.stream,
                kind = %event.kind,
                error,
                "event cannot be folded in and is set aside: the view is incomplete until it is rebuilt"
            );
        }
        if !poison.is_empty() {
            self.status.set_quarantined(self.status.quarantined() + poison.len() as u64);
        }
    }

    /// Waits, but not longer than the view runs. Whoever stops it unparks the thread.
    fn pause(&self, pause: Duration) -> Result<(), Stopped> {
        let until = Instant::now() + pause;
        loop {
            if self.stop.is_cancelled() {
                return Err(Stopped);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::park_timeout(left);
        }
    }
}
