use std::sync::Arc;
use std::sync::atomic::Ordering;

use cairn_eventstore::{AppendFault, Appended, Fresh};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::Writer;
use super::answers::Answers;
use crate::primary::{Entry, Primary, PrimaryFault};
use crate::queue::Job;

/// Which log a copy is of, and how many of its entries are here.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS replica (
    one INTEGER PRIMARY KEY CHECK (one = 1), log BLOB NOT NULL, entries INTEGER NOT NULL) STRICT";

/// The writer's side of a [`Primary`].
pub(crate) struct Replica {
    primary: Box<dyn Primary>,
    /// Entries of the primary log that are here.
    held: u64,
}

/// What came of a job that was worked out, and is not told before the primary log has it.
enum Outcome {
    Appended(Result<Appended, AppendFault>),
    Stored(Result<(), AppendFault>),
}

/// What came of jobs, in their order, and what they added.
type Appending = (Vec<Outcome>, Vec<Fresh>);

impl Outcome {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Appended(Err(_)) | Self::Stored(Err(_)))
    }
}

impl Replica {
    /// Begins a copy, or goes on with one. The inner error names the log that the database was made from.
    pub(crate) fn open(primary: Box<dyn Primary>, connection: &Connection) -> rusqlite::Result<Result<Self, String>> {
        let log = primary.log();
        // Whatever a power failure takes is followed again.
        connection.execute_batch("PRAGMA synchronous = NORMAL")?;
        match known(connection)? {
            Some((known, held)) if known == log => Ok(Ok(Self { primary, held })),
            Some((known, _)) => Ok(Err(format!("log {known}"))),
            None if super::last_event(connection)?.0 > 0 => Ok(Err("no other log: it is one itself".to_owned())),
            None => {
                connection.execute_batch(CREATE)?;
                let sql = "INSERT INTO replica (one, log, entries) VALUES (1, ?1, 0)";
                connection.execute(sql, params![log.as_bytes().as_slice()])?;
                Ok(Ok(Self { primary, held: 0 }))
            }
        }
    }

    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    pub(crate) fn batch_bytes_max(&self) -> usize {
        self.primary.batch_bytes_max()
    }
}

/// Which log a database is a copy of, and how much of it is here. `None`: it is a log itself.
pub(crate) fn known(connection: &Connection) -> rusqlite::Result<Option<(Uuid, u64)>> {
    let sql = "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = 'replica'";
    if !connection.query_row(sql, [], |row| row.get::<_, bool>(0))? {
        return Ok(None);
    }
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?, row.get(1)?));
    let known = connection.query_row("SELECT log, entries FROM replica", [], read).optional()?;
    Ok(known.map(|(log, held)| (Uuid::from_bytes(log), held)))
}

impl Writer {
    /// Carries out jobs where the log that counts is elsewhere: works them out here, appends there, and commits here.
    ///
    /// INVARIANT: nothing is shown or answered that the primary log does not have. The transaction stays open meanwhile, so
    /// what comes of it is what was worked out; if this process dies in between, the events are followed like anybody's.
    pub(super) fn commit_after_primary(
        &mut self,
        replica: &mut Replica,
        jobs: Vec<Job>,
        answers: &mut Answers,
    ) -> rusqlite::Result<Vec<Fresh>> {
        let (followed, jobs): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| matches!(job, Job::Follow { .. }));
        let outcome = self.follow_all(replica, followed, answers);
        if let Err(error) = outcome {
            jobs.into_iter().for_each(|job| answers.wait(job));
            return Err(error);
        }
        if jobs.is_empty() {
            return Ok(vec![]);
        }
        match self.append_there(replica, &jobs) {
            Ok(Ok((outcomes, fresh))) => {
                give(jobs, outcomes, answers);
                Ok(fresh)
            }
            Ok(Err(fault)) => {
                let outcomes = jobs.iter().map(|job| refused(job, &fault)).collect();
                give(jobs, outcomes, answers);
                Ok(vec![])
            }
            Err(error) => {
                jobs.into_iter().for_each(|job| answers.wait(job));
                Err(error)
            }
        }
    }

    /// The inner error: nothing was appended, as far as anybody knows.
    fn append_there(
        &mut self,
        replica: &mut Replica,
        jobs: &[Job],
    ) -> rusqlite::Result<Result<Appending, AppendFault>> {
        loop {
            self.begin()?;
            let (mut outcomes, mut fresh, mut entries) = (Vec::with_capacity(jobs.len()), vec![], vec![]);
            for job in jobs {
                outcomes.push(self.work_out(job, &mut fresh, &mut entries)?);
            }
            // A repeat stays one. A refusal may be wrong where others have appended meanwhile.
            let is_settled = entries.is_empty() && !outcomes.iter().any(Outcome::is_refusal);
            let appended = if is_settled { Ok(()) } else { replica.primary.append(replica.held, &entries) };
            match appended {
                Ok(()) => {
                    self.commit_entries(replica, entries.len())?;
                    return Ok(Ok((outcomes, fresh)));
                }
                Err(PrimaryFault::Behind(ahead)) => {
                    self.go_back()?;
                    let from = replica.held;
                    self.follow(replica, from, ahead)?;
                }
                Err(PrimaryFault::Failed(fault)) => {
                    self.go_back()?;
                    return Ok(Err(fault));
                }
            }
        }
    }

    /// Carries out one job in the open transaction, and notes what it adds to the primary log.
    fn work_out(&mut self, job: &Job, fresh: &mut Vec<Fresh>, entries: &mut Vec<Entry>) -> rusqlite::Result<Outcome> {
        let before = fresh.len();
        let outcome = match job {
            Job::Append { writes, .. } => Outcome::Appended(self.append(writes, fresh)?),
            Job::TakeOver { events, .. } => Outcome::Stored(self.take_over(events, fresh)?),
            Job::Retain { stream, retention, .. } => {
                let stored = self.retain(stream, *retention)?;
                if stored.is_ok() {
                    entries.push(Entry::Retention(stream.clone(), *retention));
                }
                Outcome::Stored(stored)
            }
            Job::Follow { .. } => Outcome::Stored(Ok(())),
        };
        entries.extend(fresh[before..].iter().map(|fresh| Entry::Event(Arc::clone(&fresh.event))));
        Ok(outcome)
    }

    /// Takes in what was heard of the primary log. Whoever heard of it is told how far this is now.
    fn follow_all(&mut self, replica: &mut Replica, jobs: Vec<Job>, answers: &mut Answers) -> rusqlite::Result<()> {
        let mut jobs = jobs.into_iter();
        for job in jobs.by_ref() {
            let Job::Follow { from, entries, bytes, answer } = job else { continue };
            match self.follow(replica, from, entries) {
                Ok(()) => answers.follow(replica.held, bytes, answer),
                Err(error) => {
                    answers.wait(Job::Follow { from, entries: vec![], bytes, answer });
                    jobs.for_each(|job| answers.wait(job));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Takes in entries of the primary log that begin after `from`, in a transaction of their own, and shows them.
    ///
    /// Those that are here are passed over, and so are all if some before them are not: they will be heard of again.
    fn follow(&mut self, replica: &mut Replica, from: u64, entries: Vec<Entry>) -> rusqlite::Result<()> {
        let known = usize::try_from(replica.held.saturating_sub(from)).unwrap_or(usize::MAX);
        if from > replica.held || known >= entries.len() {
            return Ok(());
        }
        let entries = &entries[known..];
        self.begin()?;
        let (mut fresh, mut is_retention_changed) = (vec![], false);
        // Events that follow each other are taken over together.
        for together in entries.chunk_by(|one, next| matches!((one, next), (Entry::Event(_), Entry::Event(_)))) {
            let taken = match together {
                [Entry::Retention(stream, retention)] => {
                    is_retention_changed = true;
                    self.retain(stream, *retention)?
                }
                events => {
                    let events: Vec<_> = events.iter().filter_map(Entry::event).cloned().collect();
                    self.take_over(&events, &mut fresh)?
                }
            };
            if let Err(fault) = taken {
                self.go_back()?;
                return Err(stuck(&fault));
            }
        }
        self.commit_entries(replica, entries.len())?;
        self.publish(fresh, is_retention_changed);
        Ok(())
    }

    fn commit_entries(&mut self, replica: &mut Replica, count: usize) -> rusqlite::Result<()> {
        if count > 0 {
            let held = replica.held + count as u64;
            self.connection.prepare_cached("UPDATE replica SET entries = ?1")?.execute([held])?;
        }
        self.index.settle(&self.connection)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        replica.held += count as u64;
        self.shared.held.store(replica.held, Ordering::Release);
        if count > 0 {
            self.recovered();
        }
        Ok(())
    }

    fn go_back(&mut self) -> rusqlite::Result<()> {
        self.roll_back().map_err(|trouble| stuck(&trouble.answer()))
    }
}

/// An error that ends the batch, for what SQLite has no word for.
fn stuck(fault: &AppendFault) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(format!("the log is not followed any further: {fault}").into())
}

fn refused(job: &Job, fault: &AppendFault) -> Outcome {
    match job {
        Job::Append { .. } => Outcome::Appended(Err(fault.clone())),
        _ => Outcome::Stored(Err(fault.clone())),
    }
}

fn give(jobs: Vec<Job>, outcomes: Vec<Outcome>, answers: &mut Answers) {
    for (job, outcome) in jobs.into_iter().zip(outcomes) {
        match (job, outcome) {
            (Job::Append { bytes, queued, answer, .. }, Outcome::Appended(outcome)) => {
                answers.append(outcome, bytes, queued, answer);
            }
            (Job::Retain { answer, .. }, Outcome::Stored(outcome)) => answers.retain(outcome, answer),
            (Job::TakeOver { bytes, answer, .. }, Outcome::Stored(outcome)) => {
                answers.take_over(outcome, bytes, answer);
            }
            (job, _) => answers.wait(job),
        }
    }
}
