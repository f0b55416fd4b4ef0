use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cairn_eventstore::EventStore;
use cairn_kernel::Position;
use cairn_points::{Engine, EngineFault, Series};
use cairn_service::health::{HealthCheck, State};
use metrics::gauge;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::follow::follow;
use super::read::{Cursor, HistoryPage};
use super::sample::{Sample, thin_out};
use super::{MetricFault, MetricStore};
use crate::model::RunName;

/// Longest wait of a health check for the engine: less than one may take.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Points in an engine of their own, which every process of this service follows the log for: one of them writes. Cheap to
/// clone; stops when the last clone is dropped.
#[derive(Clone)]
pub struct Followed {
    shared: Arc<Shared>,
    _stop: Arc<tokio_util::sync::DropGuard>,
}

/// What the task that follows the log and those who read have in common.
pub(super) struct Shared {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) store: Arc<dyn EventStore>,
    standing: watch::Sender<FollowedState>,
    /// Readers that wait for what is not stored yet.
    waiting: AtomicU64,
    pub(super) awaited: Notify,
}

/// How a store of points is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowedState {
    /// Points of all events up to here can be read.
    pub position: Position,
    /// Whether it is this process that writes.
    pub is_writer: bool,
    /// What keeps it from going on.
    pub trouble: Option<EngineFault>,
}

/// A reader that waits.
struct Waiting<'a>(&'a AtomicU64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    pub(super) fn state(&self) -> FollowedState {
        self.standing.borrow().clone()
    }

    /// Begins from what is stored.
    pub(super) fn begins(&self, position: Position, is_writer: bool) {
        self.standing.send_modify(|standing| (standing.position, standing.is_writer) = (position, is_writer));
        self.report();
    }

    /// Everything up to here is stored.
    pub(super) fn reaches(&self, position: Position) {
        let mended = self.standing.borrow().trouble.is_some();
        self.standing.send_modify(|standing| {
            standing.position = standing.position.max(position);
            standing.trouble = None;
        });
        if mended {
            tracing::info!(store = self.engine.place(), "points are stored again");
        }
        self.report();
    }

    /// Cannot go on, which is said once for each cause.
    pub(super) fn stumbles(&self, fault: EngineFault) {
        let is_known = self.standing.borrow().trouble.as_ref() == Some(&fault);
        if !is_known {
            tracing::warn!(store = self.engine.place(), %fault, "points cannot be stored, and it is tried again");
        }
        self.standing.send_modify(|standing| standing.trouble = Some(fault));
        self.report();
    }

    fn lag(&self) -> u64 {
        self.store.head().borrow().0.saturating_sub(self.standing.borrow().position.0)
    }

    fn report(&self) {
        gauge!("cairn_metric_store_lag_events").set(self.lag() as f64);
    }
}

impl Followed {
    /// Starts following the log. Must be called on a tokio runtime.
    pub fn start(engine: Arc<dyn Engine>, store: Arc<dyn EventStore>) -> Self {
        let shared = Arc::new(Shared {
            engine,
            store,
            standing: watch::Sender::default(),
            waiting: AtomicU64::new(0),
            awaited: Notify::new(),
        });
        let stop = CancellationToken::new();
        tokio::spawn({
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            async move {
                stop.run_until_cancelled(follow(&shared)).await;
            }
        });
        Self { shared, _stop: Arc::new(stop.drop_guard()) }
    }

    /// How it is doing.
    pub fn state(&self) -> FollowedState {
        self.shared.state()
    }

    /// What is wrong with the engine at this moment.
    async fn asked(&self) -> Option<EngineFault> {
        let late = || EngineFault::Away(format!("no answer within {} ms", ANSWER_MAX.as_millis()));
        let answer = timeout(ANSWER_MAX, self.shared.engine.checkpoint()).await;
        answer.map_or_else(|_| Some(late()), Result::err)
    }
}

fn series<'a>(run: &'a RunName, metric: &'a str) -> Series<'a> {
    Series { project: run.project(), run: run.run(), metric }
}

#[async_trait]
impl MetricStore for Followed {
    async fn reached(&self, position: Position, deadline: Instant) -> Result<(), MetricFault> {
        let mut standing = self.shared.standing.subscribe();
        if standing.borrow().position >= position {
            return Ok(());
        }
        self.shared.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.shared.waiting);
        self.shared.awaited.notify_one();
        // While it is known to be in trouble, nobody waits for that to end.
        let settled = standing.wait_for(|standing| standing.position >= position || standing.trouble.is_some());
        match timeout_at(deadline, settled).await {
            Ok(Ok(standing)) if standing.position >= position => Ok(()),
            Ok(Ok(standing)) => Err(standing.trouble.clone().unwrap_or(EngineFault::Fenced).into()),
            Ok(Err(_)) => Err(EngineFault::Away("it is closed".to_owned()).into()),
            Err(_) => Err(MetricFault::Behind { at: self.state().position, wanted: position }),
        }
    }

    async fn history(
        &self,
        run: &RunName,
        metric: &str,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<HistoryPage, MetricFault> {
        let mut rows = self.shared.engine.history(series(run, metric), after, limit.saturating_add(1)).await?;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().copied().filter(|_| has_more);
        rows.dedup();
        Ok(HistoryPage { rows, next })
    }

    async fn sample(
        &self,
        run: &RunName,
        metric: &str,
        steps: RangeInclusive<i64>,
        points_max: usize,
    ) -> Result<Sample, MetricFault> {
        let mut rows = self.shared.engine.by_step(series(run, metric), steps).await?;
        rows.dedup();
        Ok(thin_out(rows, points_max))
    }
}

/// What everybody may know of a fault, since everybody may ask for the health of a process. Who and where is for its log.
fn openly(fault: &EngineFault) -> &str {
    match fault {
        EngineFault::Unsuitable(why) if why.starts_with("METRIC_STORE_") => why.split(':').next().unwrap_or_default(),
        EngineFault::Unsuitable(_) => "lets nobody in, or is not as it has to be",
        EngineFault::Exhausted(_) => "has all its connections in use",
        EngineFault::Away(_) | EngineFault::Fenced => "does not answer as it should",
    }
}

#[async_trait]
impl HealthCheck for Followed {
    fn name(&self) -> &str {
        "metric-points"
    }

    /// Asks the engine too, which nobody else may do for hours.
    async fn check(&self) -> (State, String) {
        self.shared.report();
        let trouble = match self.state().trouble {
            Some(known) => Some(known),
            None => self.asked().await,
        };
        let kind = self.shared.engine.kind();
        match (trouble, self.shared.lag()) {
            (Some(fault), lag) => {
                (State::Warning, format!("{kind} {}; {lag} events are still to be stored there", openly(&fault)))
            }
            (None, 0) => (State::Healthy, String::new()),
            (None, lag) => (State::Healthy, format!("{lag} events behind")),
        }
    }

    /// All but reading points works without it.
    fn gates_readiness(&self) -> bool {
        false
    }
}
