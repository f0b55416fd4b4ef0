use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cairn_eventstore::{
    AppendFault, Appended, Appending, Direction, EventStore, Filter, Page, ReadFault, Recorded, Retention, Snapshot,
    Write,
};
use cairn_kernel::{Position, Revision, StreamName};
use futures::FutureExt;
use futures::future::ready;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

/// How likely each fault is, from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// An append is refused at once and never queued.
    pub busy: f64,
    /// An append succeeds, and its answer is lost.
    pub lost_answer: f64,
    /// An append is lost, and the caller cannot tell it from a lost answer.
    pub lost_append: f64,
    /// An append finds the disk full.
    pub storage_full: f64,
    /// A read fails.
    pub lost_read: f64,
    /// How often other tasks are let go first, at most, before anything happens.
    pub delay_max: u32,
}

impl Faults {
    /// No fault and no delay.
    pub const NONE: Self =
        Self { busy: 0.0, lost_answer: 0.0, lost_append: 0.0, storage_full: 0.0, lost_read: 0.0, delay_max: 0 };
}

impl Default for Faults {
    fn default() -> Self {
        Self { busy: 0.1, lost_answer: 0.1, lost_append: 0.1, storage_full: 0.05, lost_read: 0.05, delay_max: 8 }
    }
}

/// A store that delays, refuses, and loses answers, as seeded. It never lies: what it acknowledges is in the store
/// behind it, and appends keep their order.
pub struct FaultyStore {
    inner: Arc<dyn EventStore>,
    dice: Arc<Dice>,
    line: mpsc::UnboundedSender<Queued>,
    is_held: Arc<watch::Sender<bool>>,
}

struct Queued {
    writes: Vec<Write>,
    answer: oneshot::Sender<Result<Appended, AppendFault>>,
}

struct Dice {
    rng: Mutex<SmallRng>,
    faults: Mutex<Faults>,
    waiting: AtomicUsize,
    reads: AtomicUsize,
}

impl Dice {
    fn happens(&self, chance: impl Fn(&Faults) -> f64) -> bool {
        let chance = chance(&self.faults.lock());
        self.rng.lock().random_bool(chance)
    }

    async fn delay(&self) {
        let delay_max = self.faults.lock().delay_max;
        let turns = self.rng.lock().random_range(0..=delay_max);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    async fn reads(&self) -> Result<(), ReadFault> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.delay().await;
        if self.happens(|faults| faults.lost_read) {
            return Err(ReadFault::Unavailable("injected: the read was lost".into()));
        }
        Ok(())
    }
}

impl FaultyStore {
    /// Misbehaves in front of `inner`. The same seed gives the same dice. Call within a runtime.
    pub fn new(inner: Arc<dyn EventStore>, seed: u64, faults: Faults) -> Self {
        let rng = Mutex::new(SmallRng::seed_from_u64(seed));
        let dice = Arc::new(Dice {
            rng,
            faults: Mutex::new(faults),
            waiting: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
        });
        let (line, queued) = mpsc::unbounded_channel();
        let is_held = Arc::new(watch::Sender::new(false));
        tokio::spawn(serve(Arc::clone(&inner), Arc::clone(&dice), queued, is_held.subscribe()));
        Self { inner, dice, line, is_held }
    }

    /// Misbehaves differently from now on.
    pub fn set(&self, faults: Faults) {
        *self.dice.faults.lock() = faults;
    }

    /// Lets appends queue up until they are released.
    pub fn hold(&self) {
        self.is_held.send_replace(true);
    }

    /// Serves the appends that queued up.
    pub fn release(&self) {
        self.is_held.send_replace(false);
    }

    /// Appends queued and not yet served.
    pub fn waiting(&self) -> usize {
        self.dice.waiting.load(Ordering::SeqCst)
    }

    /// How often something was read, of whatever kind.
    pub fn reads(&self) -> usize {
        self.dice.reads.load(Ordering::SeqCst)
    }
}

/// Appends one after the other, in the order they were queued.
async fn serve(
    inner: Arc<dyn EventStore>,
    dice: Arc<Dice>,
    mut line: mpsc::UnboundedReceiver<Queued>,
    mut is_held: watch::Receiver<bool>,
) {
    while let Some(Queued { writes, answer }) = line.recv().await {
        if is_held.wait_for(|is_held| !is_held).await.is_err() {
            return;
        }
        dice.waiting.fetch_sub(1, Ordering::SeqCst);
        dice.delay().await;
        let lost = || Err(AppendFault::Unavailable("injected: the line was cut".into()));
        let outcome = if dice.happens(|faults| faults.storage_full) {
            Err(AppendFault::StorageFull)
        } else if dice.happens(|faults| faults.lost_append) {
            lost()
        } else {
            let outcome = inner.append(writes).await;
            if dice.happens(|faults| faults.lost_answer) { lost() } else { outcome }
        };
        // A caller that no longer waits needs no answer.
        let _ = answer.send(outcome);
    }
}

#[async_trait]
impl EventStore for FaultyStore {
    fn append(&self, writes: Vec<Write>) -> Appending {
        if self.dice.happens(|faults| faults.busy) {
            return ready(Err(AppendFault::Busy { retry_after: Duration::from_millis(1) })).boxed();
        }
        let (answer, answered) = oneshot::channel();
        let stopped = || AppendFault::Unavailable("the store has stopped".into());
        self.dice.waiting.fetch_add(1, Ordering::SeqCst);
        if self.line.send(Queued { writes, answer }).is_err() {
            return ready(Err(stopped())).boxed();
        }
        answered.map(move |outcome| outcome.unwrap_or_else(|_| Err(stopped()))).boxed()
    }

    async fn read(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        self.dice.reads().await?;
        self.inner.read(stream, from, direction, limit).await
    }

    async fn read_all(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        limit: usize,
    ) -> Result<Page, ReadFault> {
        self.dice.reads().await?;
        self.inner.read_all(from, direction, filter, limit).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<Arc<Recorded>>, ReadFault> {
        self.dice.reads().await?;
        self.inner.find(id).await
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.inner.head()
    }

    async fn retain(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
        self.inner.retain(stream, retention).await
    }

    async fn snapshot(&self, stream: &StreamName) -> Result<Option<Snapshot>, ReadFault> {
        self.dice.reads().await?;
        self.inner.snapshot(stream).await
    }

    /// May drop it: it is only a cache.
    async fn keep_snapshot(&self, stream: &StreamName, snapshot: Snapshot) {
        if !self.dice.happens(|faults| faults.lost_answer) {
            self.inner.keep_snapshot(stream, snapshot).await;
        }
    }

    fn trouble(&self) -> Option<AppendFault> {
        self.inner.trouble()
    }
}
