use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::AppendFault;
use cairn_eventstore_sqlite::{Entry, Feed};
use eventstore::{Subscription, SubscriptionEvent};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::error;

use crate::fault::Fault;
use crate::link::{Link, entry_at};

/// Entries that were heard of and wait to be taken in.
const WAITING_MAX: usize = 4_096;
/// Entries taken in together.
const TOGETHER_MAX: usize = 1_024;

/// The task that takes into the copy what others append.
pub(crate) struct Follower {
    pub(crate) link: Arc<Link>,
    pub(crate) feed: Feed,
    pub(crate) pause: Duration,
}

/// What was heard: an entry, or why no more are.
type Heard = Result<Entry, Fault>;

impl Follower {
    /// Follows until the copy is closed.
    ///
    /// A subscription is begun anew from what is here, never by the client: after an interruption that goes on behind what it
    /// has heard, not behind what was taken in.
    pub(crate) async fn run(self) {
        while !self.feed.is_closed() {
            if let Err(fault) = self.follow().await {
                self.link.heard(Some(&fault));
                if let Fault::Refused(why) | Fault::Lost(why) = &fault {
                    error!(why, "the log in KurrentDB is not followed");
                }
            }
            sleep(self.pause).await;
        }
    }

    async fn follow(&self) -> Result<(), Fault> {
        let mut next = self.feed.held();
        let subscription = self.link.subscribe(next).await?;
        let (sender, mut heard) = mpsc::channel(WAITING_MAX);
        // Ends with this attempt. A task, because a subscription that is asked and then left loses what it was about to say.
        let mut listening = JoinSet::new();
        listening.spawn(listen(subscription, next + 1, Arc::clone(&self.link), sender));
        let mut together = vec![];
        while heard.recv_many(&mut together, TOGETHER_MAX).await > 0 {
            let (mut entries, mut fault) = (vec![], None);
            for heard in together.drain(..) {
                match heard {
                    Ok(entry) => entries.push(entry),
                    Err(why) => fault = Some(why),
                }
            }
            let end = next + entries.len() as u64;
            if end > self.feed.held() {
                match self.feed.follow(next, entries).await {
                    Ok(held) if held >= end => {}
                    Ok(_) => return Ok(()),
                    // Closed, or without room: whoever asks next sees.
                    Err(AppendFault::Unavailable(_) | AppendFault::StorageFull | AppendFault::Busy { .. }) => {
                        return Ok(());
                    }
                    Err(fault) => return Err(Fault::Refused(fault.to_string())),
                }
            }
            next = end;
            if let Some(fault) = fault {
                return Err(fault);
            }
        }
        Ok(())
    }
}

/// Passes on what a subscription says, from this revision on, until it ends or nobody listens.
async fn listen(mut subscription: Subscription, mut revision: u64, link: Arc<Link>, heard: mpsc::Sender<Heard>) {
    loop {
        let said = match subscription.next_subscription_event().await {
            Ok(SubscriptionEvent::EventAppeared(event)) => {
                let entry = entry_at(revision, event.get_original_event());
                revision += 1;
                entry
            }
            Ok(SubscriptionEvent::Confirmed(_)) => {
                link.heard(None);
                continue;
            }
            Ok(_) => continue,
            Err(error) => Err(Fault::of(&error)),
        };
        let is_last = said.is_err();
        if heard.send(said).await.is_err() || is_last {
            return;
        }
    }
}
