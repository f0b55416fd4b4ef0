use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::Duration;

use cairn_eventstore::EventStore;
use cairn_kernel::Position;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::applier::Applier;
use crate::definition::Definition;
use crate::follower::{Feed, Follower, Replacement, Start};
use crate::rebuild::{self, Purpose, RebuildFault, Rebuilt, Source, Verdict};
use crate::room::Room;
use crate::status::Status;
use crate::{Changes, Copied, Projection, QueryFault, ReadModel, catalog};

/// Pages of events read ahead of the thread that writes.
const PAGES_AHEAD: usize = 8;

/// How much a view takes on at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A batch is committed once it has this many events…
    pub batch_events_max: usize,
    /// … or this many bytes of them, or when nothing more is waiting.
    pub batch_bytes_max: usize,
    /// Over so many events that the filter does not want, the checkpoint is not written. What a restart reads again.
    pub unwanted_events_max: u64,
    /// A view that starts from nothing is built beside its file, all at once, if the log has at least so many events.
    pub beside_events_min: u64,
    /// Commits are at least so far apart while nobody waits for one, so that events that come one by one under load
    /// are folded in together.
    pub linger: Duration,
}

/// Why a reader did not get to see its position.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WaitFault {
    #[error("view {view} is at position {at}, not yet at {wanted}")]
    Behind { view: &'static str, at: Position, wanted: Position },
    #[error("view {view} has stopped")]
    Stopped { view: &'static str },
}

/// How a view is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewState {
    pub position: Position,
    /// How many events the log is ahead.
    pub lag: u64,
    /// Events set aside because they could not be folded in: the view is incomplete until it is rebuilt.
    pub quarantined: u64,
    /// What keeps it from going on.
    pub trouble: Option<String>,
    pub is_stopped: bool,
}

/// A running projection. Cheap to clone; stops when the last clone is dropped.
#[derive(Clone)]
pub struct View {
    inner: Arc<Inner>,
}

struct Inner {
    name: &'static str,
    position: watch::Receiver<Position>,
    status: Arc<Status>,
    source: Source,
    model: ReadModel,
    /// One second build at a time: they use the same scratch files.
    building: Mutex<()>,
    /// To the thread that writes, while it runs.
    feeds: mpsc::WeakSender<Feed>,
    stop: CancellationToken,
    thread: Thread,
}

impl Inner {
    fn stop(&self) {
        self.stop.cancel();
        self.thread.unpark();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_events_max: 4096,
            batch_bytes_max: 8 << 20,
            unwanted_events_max: 10_000,
            beside_events_min: 10_000,
            linger: Duration::from_millis(20),
        }
    }
}

impl View {
    /// Starts following the log from the view's checkpoint. Must be called on a tokio runtime.
    pub fn start<P: Projection>(
        store: Arc<dyn EventStore>,
        model: &ReadModel,
        projection: P,
    ) -> Result<Self, QueryFault> {
        Self::start_with(store, model, projection, Limits::default())
    }

    /// The same with other limits.
    ///
    /// When it returns, the tables exist. A view whose name or schema is new, or that does not fit the log (it was
    /// built from another, or the log was restored from a backup), starts from nothing.
    pub fn start_with<P: Projection>(
        store: Arc<dyn EventStore>,
        model: &ReadModel,
        projection: P,
        limits: Limits,
    ) -> Result<Self, QueryFault> {
        Self::follow(store, model, Definition::of(projection)?, limits)
    }

    /// Starts following the log by what a definition says.
    pub(crate) fn follow(
        store: Arc<dyn EventStore>,
        model: &ReadModel,
        definition: Definition,
        limits: Limits,
    ) -> Result<Self, QueryFault> {
        let name = definition.name;
        let generation = model.generation();
        let checkpoint = model.adopt(&definition)?;

        let (position, seen) = watch::channel(checkpoint.position);
        let (starts, started) = watch::channel(Start { number: 0, checkpoint });
        let (feeds, fed) = mpsc::channel(PAGES_AHEAD);
        let status = Arc::new(Status::new(name, store.head(), seen.clone()));
        status.set_quarantined(catalog::quarantined(model.writer().connection()?, name)?);
        let stop = CancellationToken::new();
        let source = Source {
            definition: definition.clone(),
            store: store.clone(),
            live: model.path().to_owned(),
            runtime: Handle::current(),
            stop: stop.clone(),
        };
        source.clean_up();

        let applier = Applier {
            definition: definition.clone(),
            source: source.clone(),
            model: model.clone(),
            limits,
            status: status.clone(),
            feeds: fed,
            starts,
            position,
            generation: generation.clone(),
            stop: stop.clone(),
            checkpoint,
            committed: None,
        };
        let thread = thread::Builder::new().name(format!("view {name}")).spawn(move || applier.run());
        let thread = thread.map_err(|fault| {
            model.release(name);
            QueryFault::Thread(fault.to_string())
        })?;
        let inner = Inner {
            name,
            position: seen,
            status: status.clone(),
            source,
            model: model.clone(),
            building: Mutex::new(()),
            feeds: feeds.downgrade(),
            stop: stop.clone(),
            thread: thread.thread().clone(),
        };
        tokio::spawn(Follower { definition, store, status, feeds, room: Room::new() }.run(started, generation, stop));
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Waits until the view has seen `position`.
    pub async fn reached(&self, position: Position, deadline: Instant) -> Result<(), WaitFault> {
        let mut seen = self.inner.position.clone();
        if *seen.borrow() >= position {
            return Ok(());
        }
        let _waiting = self.inner.status.wait();
        self.inner.thread.unpark();
        match tokio::time::timeout_at(deadline, seen.wait_for(|at| *at >= position)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(WaitFault::Stopped { view: self.name() }),
            Err(_) => Err(WaitFault::Behind { view: self.name(), at: self.position(), wanted: position }),
        }
    }

    /// Waits until the view has seen what is in the log now.
    pub async fn caught_up(&self, deadline: Instant) -> Result<(), WaitFault> {
        self.reached(self.head(), deadline).await
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.inner.name
    }

    /// Every event up to here has been seen.
    pub fn position(&self) -> Position {
        self.inner.status.position()
    }

    /// How it is copied elsewhere, if it is.
    pub fn copied(&self) -> Option<&Copied> {
        self.definition().copied.as_ref()
    }

    /// Notes down in its file, from now on, which rows change; `None`: it is not to be copied.
    pub fn record_changes(&self) -> Result<Option<Changes>, QueryFault> {
        self.copied().map(|copied| Changes::record(self, *copied)).transpose()
    }

    /// Notes nothing down any more.
    pub fn forget_changes(&self) -> Result<(), QueryFault> {
        Changes::forget(self)
    }

    pub(crate) fn definition(&self) -> &Definition {
        &self.inner.source.definition
    }

    pub(crate) fn model(&self) -> &ReadModel {
        &self.inner.model
    }

    pub(crate) fn store(&self) -> &dyn EventStore {
        &*self.inner.source.store
    }

    pub(crate) fn positions(&self) -> watch::Receiver<Position> {
        self.inner.position.clone()
    }

    /// Where the log it follows ends.
    pub(crate) fn head(&self) -> Position {
        *self.inner.source.store.head().borrow()
    }

    /// How many events the log is ahead of it.
    pub fn lag(&self) -> u64 {
        self.inner.status.lag()
    }

    /// How it is doing.
    pub fn state(&self) -> ViewState {
        let status = &self.inner.status;
        ViewState {
            position: status.position(),
            lag: status.lag(),
            quarantined: status.quarantined(),
            trouble: status.trouble(),
            is_stopped: self.inner.position.has_changed().is_err(),
        }
    }

    /// Builds the view again beside the running one, up to where that is, and compares the two row by row.
    pub async fn verify(&self) -> Result<Verdict, RebuildFault> {
        let _turn = self.inner.building.lock().await;
        let source = self.inner.source.clone();
        let verifying = tokio::task::spawn_blocking(move || rebuild::verify(&source));
        verifying.await.map_err(|_| RebuildFault::Stopped { view: self.name() })?
    }

    /// Builds the view again beside the running one, then puts it in its place. Readers see the old rows until then, and
    /// nothing older afterwards.
    pub async fn rebuild(&self) -> Result<Rebuilt, RebuildFault> {
        let _turn = self.inner.building.lock().await;
        let stopped = || RebuildFault::Stopped { view: self.name() };
        let source = self.inner.source.clone();
        let scratch = source.scratch(Purpose::Rebuild);
        let building = tokio::task::spawn_blocking(move || {
            let head = *source.store.head().borrow();
            source.build_whole(&scratch, head).map(|rebuilt| (rebuilt, scratch))
        });
        let (rebuilt, scratch) = building.await.map_err(|_| stopped())??;
        let feeds = self.inner.feeds.upgrade().ok_or_else(stopped)?;
        let (done, replaced) = oneshot::channel();
        let replacement = Replacement { built: scratch.0.clone(), done };
        feeds.send(Feed::Replacement(replacement)).await.map_err(|_| stopped())?;
        drop(feeds);
        replaced.await.map_err(|_| stopped())??;
        Ok(rebuilt)
    }

    /// Stops after the batch at hand and waits for it.
    pub async fn stop(&self, grace: Duration) {
        self.inner.stop();
        let mut position = self.inner.position.clone();
        let ended = tokio::time::timeout(grace, position.wait_for(|_| false)).await;
        if ended.is_err() {
            tracing::warn!(view = self.name(), "view did not stop in time");
        }
    }
}
