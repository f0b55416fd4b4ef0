use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::{EventStore, Message, ReadFault, Recorded, Subscription};
use cairn_kernel::Position;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::catalog::Checkpoint;
use crate::definition::Definition;
use crate::history;
use crate::rebuild::RebuildFault;
use crate::room::{Room, Taken};
use crate::status::Status;

/// First and longest pause after a failed read of the log.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How often the lag is reported when nothing happens.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// What the thread that writes is fed with.
pub(crate) enum Feed {
    /// News of the log. What belongs to an earlier start is ignored.
    Log { start: u64, news: News },
    /// A second build that is to take the view's place.
    Replacement(Replacement),
}

pub(crate) struct Replacement {
    pub built: PathBuf,
    pub done: oneshot::Sender<Result<(), RebuildFault>>,
}

pub(crate) enum News {
    Events(Vec<Arc<Recorded>>, Taken),
    /// Nothing wanted up to here.
    Nothing(Position),
    /// The log is another one than the view was built from, and why.
    OtherHistory(String),
    /// The file was made anew.
    NewFile,
}

/// Where to read the log from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// Counts the starts of one view.
    pub number: u64,
    pub checkpoint: Checkpoint,
}

/// Reads the log for one view and feeds the thread that writes it.
pub(crate) struct Follower {
    pub definition: Definition,
    pub store: Arc<dyn EventStore>,
    pub status: Arc<Status>,
    pub feeds: mpsc::Sender<Feed>,
    pub room: Room,
}

/// The thread that writes is gone.
struct Gone;

impl Follower {
    /// Goes on until the view stops.
    pub async fn run(
        self,
        mut starts: watch::Receiver<Start>,
        mut generation: watch::Receiver<u64>,
        stop: CancellationToken,
    ) {
        let mut interval = tokio::time::interval(LAG_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let start = *starts.borrow_and_update();
            let feeding = self.feed(start);
            tokio::pin!(feeding);
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    changed = starts.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    Ok(()) = generation.changed() => {
                        // The new file is empty, so what is on its way no longer fits: only the notice is sent.
                        if self.send(start, News::NewFile).await.is_err() {
                            return;
                        }
                    }
                    Gone = &mut feeding => return,
                    _ = interval.tick() => self.status.report_lag(),
                }
            }
        }
    }

    async fn feed(&self, start: Start) -> Gone {
        let mut pause = PAUSES.0;
        let mut checked = false;
        let mut subscription =
            Subscription::new(self.store.clone(), start.checkpoint.position, self.definition.filter());
        loop {
            let read = if checked { self.next(&mut subscription).await } else { self.check(&start).await };
            match read {
                Ok(news) => {
                    if pause != PAUSES.0 {
                        (pause, _) = (PAUSES.0, self.status.reads());
                    }
                    checked = true;
                    let Some(news) = news else { continue };
                    let is_other_history = matches!(news, News::OtherHistory(_));
                    if self.send(start, news).await.is_err() {
                        return Gone;
                    }
                    if is_other_history {
                        // The thread answers with another start, which ends this one.
                        self.feeds.closed().await;
                        return Gone;
                    }
                }
                Err(fault) => {
                    self.status.cannot_read(&fault);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    async fn check(&self, start: &Start) -> Result<Option<News>, ReadFault> {
        let divergence = history::divergence(&*self.store, &start.checkpoint).await?;
        Ok(divergence.map(News::OtherHistory))
    }

    async fn next(&self, subscription: &mut Subscription) -> Result<Option<News>, ReadFault> {
        Ok(Some(match subscription.next().await? {
            Message::Events(events) => {
                let taken = self.room.take(&events).await;
                News::Events(events, taken)
            }
            Message::Checkpoint(position) | Message::CaughtUp(position) => News::Nothing(position),
        }))
    }

    async fn send(&self, start: Start, news: News) -> Result<(), Gone> {
        self.feeds.send(Feed::Log { start: start.number, news }).await.map_err(|_| Gone)
    }
}
