use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_ingest_queue::QueueFault;
use cairn_kernel::{Clock, SystemClock, Time};
use cairn_service::health::{HealthCheck, State};
use futures::future::try_join_all;
use metrics::gauge;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::{Ingest, Shared};

/// How often it is looked how far the log is behind the queue.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest wait of a health check for the queue: less than one may take.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// How far the log is behind the queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Lag {
    pub messages: u64,
    /// The age of the oldest batch.
    pub age: Duration,
    pub trouble: Option<QueueFault>,
}

/// How long ago a moment of the queue's clock was.
pub(crate) fn age(moment: Time) -> Duration {
    SystemClock.now().since(moment)
}

/// Looks, as long as it runs.
pub(super) async fn watch(shared: Arc<Shared>) {
    while !shared.stop.is_cancelled() {
        shared.look().await;
        shared.stop.run_until_cancelled(sleep(LOOK_EVERY)).await;
    }
}

impl Shared {
    async fn look(&self) {
        let all = try_join_all((0..self.settings.partitions).map(|partition| self.queue.standing(partition)));
        match all.await {
            Ok(standings) => {
                let messages = standings.iter().map(|standing| standing.depth()).sum();
                let oldest = standings.iter().filter_map(|standing| standing.oldest).min();
                let lag = Lag { messages, age: oldest.map(age).unwrap_or_default(), trouble: None };
                gauge!("cairn_ingest_lag_messages").set(messages as f64);
                gauge!("cairn_ingest_lag_seconds").set(lag.age.as_secs_f64());
                if self.lag.send_replace(lag).trouble.is_some() {
                    info!(queue = self.queue.place(), "the queue answers again");
                }
            }
            Err(fault) => {
                if self.lag.borrow().trouble.is_none() {
                    warn!(queue = self.queue.place(), %fault, "the queue does not answer");
                }
                self.lag.send_modify(|lag| lag.trouble = Some(fault));
            }
        }
    }
}

#[async_trait]
impl HealthCheck for Ingest {
    fn name(&self) -> &str {
        "ingest-queue"
    }

    /// Who and where is for the log of the process: everybody may ask for its health.
    async fn check(&self) -> (State, String) {
        let (shared, settings) = (&self.shared, &self.shared.settings);
        let kind = shared.queue.kind();
        let lag = shared.lag.borrow().clone();
        let asked = timeout(ANSWER_MAX, shared.queue.check()).await;
        let asked = asked.unwrap_or_else(|_| Err(QueueFault::Away("no answer".to_owned())));
        let said = format!("{} batches wait, the oldest for {} s", lag.messages, lag.age.as_secs());
        match asked {
            Err(QueueFault::Unsuitable(_)) => (State::Warning, format!("{kind} is not as it has to be; {said}")),
            Err(_) => (State::Warning, format!("{kind} does not answer as it should; {said}")),
            Ok(()) if settings.lag_max.is_some_and(|max| lag.age > max) => (State::Unhealthy, said),
            Ok(()) if lag.age > settings.lag_warning => (State::Warning, said),
            Ok(()) => (State::Healthy, if lag.messages == 0 { String::new() } else { said }),
        }
    }
}
