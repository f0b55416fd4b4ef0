use std::time::Duration;

use cairn_eventstore::{Direction, Filter};
use cairn_ingest_queue::QueueFault;
use cairn_kernel::Position;
use cairn_projection::View;
use futures::future::join_all;
use metrics::counter;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Ingest, Shared};

/// How often it is asked how far another process has come: at first, and at last.
const POLLS: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(100));
/// Whoever reads does not wait for a partition whose oldest batch is older: that would only take longer.
const HOPELESS: Duration = Duration::from_secs(10);

impl Ingest {
    /// Every partition.
    pub(crate) fn partitions(&self) -> Vec<u16> {
        (0..self.shared.settings.partitions).collect()
    }

    /// Waits until what was queued before this call can be read here, for as long as a read may. What is not there in time
    /// is not in the answer.
    pub(crate) async fn before_read(&self, partitions: &[u16], view: &View, deadline: Instant) {
        let until = deadline.min(Instant::now() + self.shared.settings.read_wait);
        if !self.settled(partitions, view, until, true).await {
            counter!("cairn_ingest_reads_behind_total").increment(1);
        }
    }

    /// The same for a change that must not overtake what was queued before it, and whether it may go on.
    pub(crate) async fn before_change(&self, partition: u16, view: &View, deadline: Instant) -> bool {
        let until = deadline.min(Instant::now() + self.shared.settings.write_wait);
        self.settled(&[partition], view, until, false).await
    }

    async fn settled(&self, partitions: &[u16], view: &View, until: Instant, may_give_up: bool) -> bool {
        let shared = &*self.shared;
        let waits = partitions.iter().map(|partition| shared.carried_up_to_now(*partition, may_give_up));
        let Ok(Ok(positions)) = timeout_at(until, async { join_all(waits).await.into_iter().collect() }).await else {
            return false;
        };
        let positions: Vec<Option<Position>> = positions;
        let known = positions.iter().flatten().max().copied().unwrap_or(Position::START);
        let needed = match positions.contains(&None) {
            // Another process has carried some of it: only the log itself knows how far.
            true => match timeout_at(until, shared.end_of_log()).await {
                Ok(Some(position)) => position.max(known),
                _ => return false,
            },
            false => known,
        };
        view.reached(needed, until).await.is_ok()
    }
}

impl Shared {
    /// Waits until everything in a partition has been carried into the log. The position that shows it, if this process has
    /// carried it.
    async fn carried_up_to_now(&self, partition: u16, may_give_up: bool) -> Result<Option<Position>, QueueFault> {
        let standing = self.queue.standing(partition).await?;
        let here = &self.carried[usize::from(partition)];
        let position =
            |target: u64| Some(*here.borrow()).filter(|(up_to, _)| *up_to >= target).map(|(_, position)| position);
        let target = standing.enqueued;
        if standing.depth() == 0 || target == 0 {
            return Ok(position(target).or((target == 0).then_some(Position::START)));
        }
        let age = standing.oldest.map(super::lag::age).unwrap_or_default();
        if may_give_up && age > HOPELESS {
            return Err(QueueFault::Away("it is far behind".to_owned()));
        }
        let mut carried = here.subscribe();
        let mut pause = POLLS.0;
        loop {
            if let Some(position) = position(target) {
                return Ok(Some(position));
            }
            tokio::select! {
                _ = carried.changed() => {}
                () = sleep(pause) => {
                    if self.queue.standing(partition).await?.finished >= target {
                        return Ok(position(target));
                    }
                    pause = (pause * 2).min(POLLS.1);
                }
            }
        }
    }

    /// The position of the last event in the log, whoever has appended it.
    async fn end_of_log(&self) -> Option<Position> {
        let page = self.store.read_all(Position(u64::MAX), Direction::Backwards, &Filter::all(), 1).await.ok()?;
        Some(page.events.first().map_or(Position::START, |event| event.position))
    }
}
