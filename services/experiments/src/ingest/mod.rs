//! Queued ingestion: points are acknowledged once a queue before the log keeps them, and processors carry them into the log.
//!
//! Knows queues by their trait alone. What may be queued, and what has to wait for what is queued, is said in [`crate::app`].

mod carry;
mod envelope;
mod lag;
mod process;
mod settle;
mod verified;

use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::EventStore;
use cairn_ingest_queue::{Queue, QueueFault, partition_of};
use cairn_kernel::Position;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(crate) use self::envelope::{Envelope, pack};
pub(crate) use self::verified::{Standing as Seen, Verified};
use crate::app::App;
use crate::model::RunName;

/// First and longest pause after a failure.
pub(crate) const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long a queue may be away when a process starts.
const START_MAX: Duration = Duration::from_secs(10);

/// How batches go through a queue.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Batches of one run go through one of so many partitions. Fixed when the queue is made.
    pub partitions: u16,
    /// Whether this process carries batches into the log.
    pub is_processor: bool,
    /// After how long others take over from a processor that says nothing.
    pub lease: Duration,
    /// How long a read waits for what was queued before it.
    pub read_wait: Duration,
    /// How long a change that must not overtake waits for what was queued before it.
    pub write_wait: Duration,
    /// How long a batch is offered to a queue that does not answer.
    pub enqueue_max: Duration,
    /// Larger messages are not queued.
    pub message_bytes_max: usize,
    /// From which age of the oldest batch on somebody should look.
    pub lag_warning: Duration,
    /// From which age on this process takes no calls. `None`: never.
    pub lag_max: Option<Duration>,
}

/// The way through a queue. Cheap to clone; stops when the last clone is dropped.
#[derive(Clone)]
pub struct Ingest {
    pub(crate) shared: Arc<Shared>,
    pub(crate) verified: Arc<Verified>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
    _stop: Arc<tokio_util::sync::DropGuard>,
}

/// What the door, those who wait and the processor have in common.
pub(crate) struct Shared {
    pub queue: Arc<dyn Queue>,
    pub store: Arc<dyn EventStore>,
    pub settings: Settings,
    pub lag: watch::Sender<lag::Lag>,
    /// How far this process has carried each partition, and the position in the log that shows it.
    pub carried: Vec<watch::Sender<(u64, Position)>>,
    pub stop: CancellationToken,
}

impl Ingest {
    /// Makes sure that the queue keeps what it acknowledges, and makes what it needs. Must be called on a tokio runtime.
    pub async fn open(
        queue: Arc<dyn Queue>,
        store: Arc<dyn EventStore>,
        settings: Settings,
    ) -> Result<Self, QueueFault> {
        let deadline = Instant::now() + START_MAX;
        while let Err(fault) = queue.prepare(settings.partitions).await {
            if !fault.is_passing() || Instant::now() > deadline {
                return Err(fault);
            }
            sleep(PAUSES.0).await;
        }
        let stop = CancellationToken::new();
        let carried = (0..settings.partitions).map(|_| watch::Sender::default()).collect();
        let shared =
            Arc::new(Shared { queue, store, settings, lag: watch::Sender::default(), carried, stop: stop.clone() });
        let looking = tokio::spawn(lag::watch(Arc::clone(&shared)));
        Ok(Self {
            shared,
            verified: Arc::default(),
            tasks: Arc::new(Mutex::new(vec![looking])),
            _stop: Arc::new(stop.drop_guard()),
        })
    }

    /// Begins to carry batches into the log, where this process is to. `app` must be one that logs directly.
    pub(crate) fn process(&self, app: App) {
        if self.shared.settings.is_processor {
            self.tasks.lock().push(tokio::spawn(process::run(Arc::clone(&self.shared), app)));
        }
    }

    /// Ends its work, and lets others have it.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        drop(futures::future::join_all(tasks).await);
    }
}

impl Shared {
    /// The partition that a run's batches go through.
    pub fn partition(&self, run: &RunName) -> u16 {
        partition_of(run.stream().as_str(), self.settings.partitions)
    }
}
