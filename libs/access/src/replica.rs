use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use cairn_eventstore::{Direction, EventStore, Filter, Message, ReadFault, Subscription};
use cairn_kernel::Position;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use crate::freshness::Freshness;
use crate::{CATEGORIES, Change, World};

/// How long to wait before a store that failed is asked again.
const RETRY: Duration = Duration::from_millis(200);

/// What the follower writes and everybody reads.
pub(crate) struct Replica {
    pub world: ArcSwap<World>,
    pub position: watch::Sender<Position>,
    pub freshness: Freshness,
}

/// Follows auth's events for as long as the process lives.
pub(crate) struct Follower {
    pub store: Arc<dyn EventStore>,
    pub replica: Arc<Replica>,
    /// How often completeness is confirmed when nothing happens.
    pub heartbeat: Duration,
    /// The follower's own copy; readers get clones of it.
    pub world: World,
}

/// Why the follower began anew.
enum Interruption {
    /// The store did not answer.
    Store(ReadFault),
    /// An access event does not read. Going on without it could let somebody in who was shut out.
    Unreadable,
}

impl Follower {
    /// Runs until dropped. Whatever goes wrong, the replica ages meanwhile, and refuses in the end.
    pub async fn run(mut self) {
        let mut is_told = false;
        loop {
            let interruption = match self.follow().await {
                Ok(never) => match never {},
                Err(interruption) => interruption,
            };
            if let (Interruption::Store(fault), false) = (&interruption, is_told) {
                warn!(%fault, "access changes cannot be heard");
            }
            is_told = true;
            if let Interruption::Unreadable = interruption {
                return;
            }
            sleep(RETRY).await;
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, Interruption> {
        let from = *self.replica.position.borrow();
        let mut subscription = Subscription::new(Arc::clone(&self.store), from, Filter::categories(CATEGORIES));
        loop {
            match timeout(self.heartbeat, subscription.next()).await {
                Ok(Ok(Message::Events(events))) => {
                    for recorded in &events {
                        let change = Change::read(recorded).map_err(|fault| {
                            error!(position = %recorded.position, %fault, "an access event does not read: access closes");
                            Interruption::Unreadable
                        })?;
                        self.world.apply(change, recorded.position);
                    }
                    // INVARIANT: the world is published before its position, so whoever waits for a position finds it.
                    self.replica.world.store(Arc::new(self.world.clone()));
                    self.replica.position.send_replace(events.last().map_or(from, |last| last.position));
                }
                Ok(Ok(Message::Checkpoint(position) | Message::CaughtUp(position))) => {
                    self.replica.position.send_replace(position);
                }
                Ok(Err(fault)) => return Err(Interruption::Store(fault)),
                Err(_idle) => {}
            }
            if self.replica.freshness.age().is_none_or(|age| age >= self.heartbeat) {
                self.confirm().await.map_err(Interruption::Store)?;
            }
        }
    }

    /// Asks the store whether any access change is missing here. The answer, not the silence of a subscription, is what
    /// freshness rests on.
    async fn confirm(&self) -> Result<(), ReadFault> {
        let asked = Instant::now();
        let position = *self.replica.position.borrow();
        let page = self.store.read_all(position, Direction::Forwards, &Filter::categories(CATEGORIES), 1).await?;
        if page.is_end && page.events.is_empty() {
            if self.replica.freshness.age().is_none() {
                info!(%position, "access is up to date");
            }
            self.replica.freshness.confirm(asked);
        }
        Ok(())
    }
}
