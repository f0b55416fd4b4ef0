//! The one task of a process that writes: locks the log, commits everybody who waits, shows and answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_eventstore::{AppendFault, Fresh};
use cairn_kernel::Position;
use cairn_postgres::{DialFault, Dialer, Link};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::fault::Trouble;
use crate::plan::{End, Facts, Outcome, Plan, Wish, plan};
use crate::queue::{BatchRoom, News};
use crate::store::Shared;

mod batch;
pub(crate) mod commit;
pub(crate) mod lock;

use batch::Batch;

/// Bytes of events committed together at most; a single append may be larger.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// Clients just answered get this part of the last commit's time to come again before the next one is made.
const GRACE_SHARE: u32 = 4;
const GRACE_MAX: Duration = Duration::from_millis(2);
/// How often a database that does not take what is written is tried again while nobody appends.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// Nobody comes and nothing is wrong.
const IDLE: Duration = Duration::from_secs(3600);
/// Between two attempts at a database that has just gone away.
const PAUSE: Duration = Duration::from_millis(50);
/// Rounds in which a plan may find that it must know more: heads, ids, where streams were.
const ROUNDS_MAX: usize = 8;

pub(crate) struct Writer {
    shared: Arc<Shared>,
    dialer: Arc<Dialer>,
    link: Option<Link>,
    identity: Identity,
    room: BatchRoom,
    heads_max: usize,
    outage: Duration,
    patience: Duration,
    facts: Facts,
    /// Where the log ended when the facts were true.
    end: Option<End>,
    /// Whether batches may be committed without locking the log first, and whether that is likely to work: nobody else wrote
    /// when it was last locked.
    may_hop: bool,
    is_alone: bool,
    /// How many were answered last, and how long their commit took.
    answered: usize,
    commit_took: Duration,
    troubled_since: Option<Instant>,
}

/// Who writes into which log, and how.
#[derive(Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) log: Uuid,
    /// This store among all that have the log open.
    pub(crate) store: Uuid,
    /// Whether each transaction may run on another connection, so that nothing is prepared.
    pub(crate) is_pooled: bool,
}

/// What was committed.
struct Done {
    outcomes: Vec<Outcome>,
    /// Where the log ended before, and ends now.
    start: u64,
    end: u64,
    fresh: Vec<Fresh>,
    is_retention_changed: bool,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, dialer: Arc<Dialer>, link: Link, identity: Identity, may_hop: bool) -> Self {
        let config = &shared.config;
        Self {
            dialer,
            link: Some(link),
            identity,
            room: BatchRoom { events: config.batch_events_max, bytes: BATCH_BYTES_MAX },
            heads_max: config.cached_heads_max,
            outage: Duration::from_millis(config.outage_ms),
            patience: config.statement_timeout(),
            facts: Facts::default(),
            end: None,
            may_hop,
            is_alone: false,
            answered: 0,
            commit_took: Duration::ZERO,
            troubled_since: None,
            shared,
        }
    }

    /// Serves the queue until it is closed and empty.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let patience = if self.is_troubled() { PROBE_INTERVAL } else { IDLE };
            match shared.queue.news(patience).await {
                News::Jobs => self.serve().await,
                News::Nothing => self.probe().await,
                News::Closed => return,
            }
        }
    }

    fn is_troubled(&self) -> bool {
        self.shared.trouble.lock().is_some()
    }

    /// Whether to wait for a database that has gone away. Counted from when it went: whoever comes when that is known for a
    /// while need not wait to hear it.
    fn is_patient(&mut self) -> bool {
        self.troubled_since.get_or_insert_with(Instant::now).elapsed() < self.outage
    }

    /// Commits one batch and answers everybody in it.
    async fn serve(&mut self) {
        let grace = (self.commit_took / GRACE_SHARE).min(GRACE_MAX);
        self.shared.queue.gather(self.answered, grace).await;
        let since = Instant::now();
        let mut batch = Batch::default();
        loop {
            match self.attempt(&mut batch).await {
                Ok(done) => return self.succeed(batch, done, since).await,
                Err(Trouble::Conflict) if !batch.is_careful => batch.is_careful = true,
                Err(Trouble::Unprepared) if !self.identity.is_pooled => {
                    warn!("a pooler stands before the database: say pgbouncer=true in events_postgres.url");
                    self.identity.is_pooled = true;
                }
                Err(Trouble::Lost(why)) if self.is_patient() => {
                    warn!(why, "the event store lost its database and tries again");
                    // A connection that had ended before is replaced at once.
                    if batch.losses > 0 {
                        sleep(PAUSE).await;
                    }
                    batch.losses += 1;
                    batch.is_careful |= batch.sent.is_some();
                }
                Err(trouble) => return self.fail(batch, &trouble),
            }
        }
    }

    /// Tries once: locks the log, takes whoever waits by then, works out what to write, and commits it.
    async fn attempt(&mut self, batch: &mut Batch) -> Result<Done, Trouble> {
        let link = self.take_link().await?;
        let patience = self.patience;
        let earlier = batch.sent.clone();
        let attempted = timeout(patience * 2, self.attempt_on(&link, batch)).await;
        let outcome = attempted.unwrap_or_else(|_| Err(late(patience)));
        match &outcome {
            Ok(_) => self.link = Some(link),
            // Whatever is under way on it must not be taken for what comes next.
            Err(Trouble::Lost(_)) => link.cut(),
            Err(_) => {
                // Of this attempt it is certain that nothing came of it.
                batch.sent = earlier;
                match timeout(self.patience, link.batch_execute("ROLLBACK")).await {
                    Ok(Ok(())) => self.link = Some(link),
                    _ => link.cut(),
                }
            }
        }
        outcome
    }

    async fn attempt_on(&mut self, link: &Link, batch: &mut Batch) -> Result<Done, Trouble> {
        if let Some(done) = self.hop(link, batch).await? {
            return Ok(done);
        }
        let started = Instant::now();
        let end = self.lock(link).await?;
        self.shared.meters.lock_seconds.record(started.elapsed());
        // Only now: whoever came while the lock was waited for goes along.
        if batch.jobs.is_empty() {
            batch.jobs = self.shared.queue.take(self.room);
        }
        let plan = self.work_out(link, batch, end).await?;
        let outcomes = batch.settled(&plan.outcomes);
        if !plan.is_idle() {
            // From now on it may have happened, whatever comes: should it not be answered, everything is looked for.
            batch.sent = Some(outcomes.clone());
        }
        let committed = commit::commit(link, &self.shared.sql, &self.identity, &end, &plan).await;
        committed.map_err(|error| Trouble::of(&error))?;
        Ok(self.done(end, plan, outcomes))
    }

    /// Commits in one round trip if nobody else has written since, as is likely where one process does all the writing.
    ///
    /// What is known of the log may be older than the log or newer than the end it is taken for. Both are found out: the one
    /// statement writes nothing unless the head is still where it was, and then all of it was true.
    async fn hop(&mut self, link: &Link, batch: &mut Batch) -> Result<Option<Done>, Trouble> {
        let Some(end) = self.end.filter(|_| self.may_hop && self.is_alone && batch.is_first()) else { return Ok(None) };
        batch.jobs = self.shared.queue.take(self.room);
        self.mind(&end);
        let plan = self.work_out(link, batch, end).await?;
        // What is refused is refused under the lock alone: nothing else would say whether it was right to.
        if plan.events.is_empty() || !plan.retentions.is_empty() {
            return Ok(None);
        }
        batch.sent = Some(plan.outcomes.clone());
        let hopped = commit::hop(link, &self.shared.sql, &self.identity, &end, &plan).await;
        if hopped.map_err(|error| Trouble::of(&error))? {
            let outcomes = plan.outcomes.clone();
            return Ok(Some(self.done(end, plan, outcomes)));
        }
        (batch.sent, self.is_alone) = (None, false);
        Ok(None)
    }

    /// Remembers what a commit has changed.
    fn done(&mut self, start: End, plan: Plan, outcomes: Vec<Outcome>) -> Done {
        self.facts.heads.extend(plan.heads);
        self.facts.kinds.extend(plan.kinds.into_iter().map(|(number, name)| (name, number)));
        self.end = Some(plan.end);
        Done {
            outcomes,
            start: start.position,
            end: plan.end.position,
            fresh: plan.events.into_iter().map(|planned| planned.fresh).collect(),
            is_retention_changed: !plan.retentions.is_empty(),
        }
    }

    async fn work_out(&mut self, link: &Link, batch: &Batch, end: End) -> Result<Plan, Trouble> {
        let sql = Arc::clone(&self.shared.sql);
        let wishes: Vec<Wish<'_>> = batch.jobs.iter().map(batch::wish).collect();
        let now = self.shared.clock.now();
        self.facts.load_kinds(link, &sql, &end).await.map_err(|error| Trouble::of(&error))?;
        for _ in 0..ROUNDS_MAX {
            match plan(&wishes, &self.facts, end, now, batch.is_careful) {
                Ok(plan) => return Ok(plan),
                Err(lack) => self.facts.load(link, &sql, lack).await.map_err(|error| Trouble::of(&error))?,
            }
        }
        Err(Trouble::Other("a batch could not be worked out".to_owned()))
    }

    async fn take_link(&mut self) -> Result<Link, Trouble> {
        match self.link.take().filter(|link| !link.is_closed()) {
            Some(link) => Ok(link),
            None => self.dialer.dial().await.map_err(|fault| match fault {
                DialFault::Unreachable(why) => Trouble::Lost(why),
                refused => Trouble::Other(refused.why().to_owned()),
            }),
        }
    }

    async fn succeed(&mut self, batch: Batch, done: Done, since: Instant) {
        self.recovered();
        self.commit_took = since.elapsed();
        self.answered = batch.jobs.len();
        let meters = &self.shared.meters;
        let bytes: usize = done.fresh.iter().map(|fresh| fresh.event.payload.len() + fresh.event.metadata.len()).sum();
        meters.commit_seconds.record(self.commit_took);
        meters.batch_events.record(done.fresh.len() as f64);
        meters.appended_events.increment(done.fresh.len() as u64);
        meters.appended_bytes.increment(bytes as u64);
        meters.head_position.set(done.end as f64);
        // What others wrote before this batch, so that who follows live finds the stretch whole.
        self.shared.catch_up(done.start, self.link.as_ref()).await;
        if done.is_retention_changed {
            self.shared.ring.clear();
        } else {
            self.shared.ring.publish(done.fresh);
        }
        // INVARIANT: whoever is answered can read it.
        self.shared.ring.skip_to(Position(done.end));
        self.shared.queue.leave(&batch.jobs);
        batch.give(done.outcomes, meters);
    }

    fn fail(&mut self, mut batch: Batch, trouble: &Trouble) {
        self.endure(trouble);
        self.answered = 0;
        // Whoever waits would be told the same.
        if batch.jobs.is_empty() {
            batch.jobs = self.shared.queue.take(BatchRoom { events: usize::MAX, bytes: usize::MAX });
        }
        let meters = &self.shared.meters;
        let refused = match trouble {
            Trouble::Full => &meters.refused_storage,
            _ => &meters.refused_other,
        };
        refused.increment(batch.jobs.len() as u64);
        self.shared.queue.leave(&batch.jobs);
        batch.refuse(&trouble.answer());
    }

    /// Finds out whether writing works, while nobody appends.
    async fn probe(&mut self) {
        match self.write_nothing().await {
            Ok(()) => self.recovered(),
            Err(trouble) => self.endure(&trouble),
        }
    }

    async fn write_nothing(&mut self) -> Result<(), Trouble> {
        let link = self.take_link().await?;
        let (sql, patience) =
            (format!("UPDATE {}.head SET version = version; COMMIT", self.shared.sql.schema), self.patience);
        let write = async {
            self.lock(&link).await?;
            link.batch_execute(&sql).await.map_err(|error| Trouble::of(&error))
        };
        match timeout(patience * 2, write).await.unwrap_or_else(|_| Err(late(patience))) {
            Ok(()) => {
                self.link = Some(link);
                Ok(())
            }
            Err(trouble) => {
                link.cut();
                Err(trouble)
            }
        }
    }

    /// Notes what is wrong.
    fn endure(&mut self, trouble: &Trouble) {
        self.troubled_since.get_or_insert_with(Instant::now);
        let answer = trouble.answer();
        let is_new = self.shared.trouble.lock().replace(answer.clone()).is_none();
        match trouble {
            _ if !is_new => {}
            Trouble::Full => error!("the event store's database is full: appends are refused until there is space"),
            _ => error!(why = %answer, "the event store cannot write"),
        }
    }

    fn recovered(&mut self) {
        self.troubled_since = None;
        if self.shared.trouble.lock().take().is_some() {
            info!("the event store can write again");
        }
    }
}

fn late(patience: Duration) -> Trouble {
    Trouble::Lost(format!("no answer within {} ms", (patience * 2).as_millis()))
}

impl Drop for Writer {
    /// However the task ends, by panic too: nobody waits for it in vain.
    fn drop(&mut self) {
        self.shared.queue.fail(&AppendFault::Unavailable("its writer has ended".into()));
    }
}
