use std::sync::Arc;

use cairn_kernel::Position;
use tokio::sync::watch;

use crate::{Direction, EventStore, Filter, ReadFault, Recorded};

/// Most events in one [`Message::Events`].
const PAGE_EVENTS_MAX: usize = 512;

/// What a subscription says.
#[derive(Clone, Debug)]
pub enum Message {
    /// Wanted events, in order. Never empty.
    Events(Vec<Arc<Recorded>>),
    /// Nothing wanted up to here: a place to resume from.
    Checkpoint(Position),
    /// History is read; what follows is live. Said again after the subscriber fell behind by more than a page.
    CaughtUp(Position),
}

/// Follows the log: history first, then live, without gap or repeat.
///
/// Pulls: a slow subscriber reads history at its own pace and never holds up the writer or anybody else.
pub struct Subscription {
    store: Arc<dyn EventStore>,
    head: watch::Receiver<Position>,
    filter: Filter,
    /// Everything up to here was handed over, or not wanted.
    position: Position,
    /// The last place the subscriber was told of.
    told: Position,
    is_live: bool,
    has_reached_end: bool,
    page_events_max: usize,
}

impl Subscription {
    /// Starts after `position`.
    pub fn new(store: Arc<dyn EventStore>, position: Position, filter: Filter) -> Self {
        let head = store.head();
        let page_events_max = PAGE_EVENTS_MAX;
        Self { store, head, filter, position, told: position, is_live: false, has_reached_end: false, page_events_max }
    }

    /// Takes at most so many events at once, for a subscriber that keeps them while it waits for somebody slow.
    pub fn by_pages_of(self, events_max: usize) -> Self {
        Self { page_events_max: events_max.clamp(1, PAGE_EVENTS_MAX), ..self }
    }

    /// Waits for the next message. Cancel safe.
    ///
    /// A start beyond the end of the log is a fault: the log is not the one the subscriber knew, and waiting would skip
    /// what is written until it gets there.
    pub async fn next(&mut self) -> Result<Message, ReadFault> {
        loop {
            if self.has_reached_end {
                if !self.is_live {
                    self.is_live = true;
                    self.told = self.position;
                    return Ok(Message::CaughtUp(self.position));
                }
                if let Some(checkpoint) = self.untold() {
                    return Ok(checkpoint);
                }
                self.grown().await?;
            }
            self.belongs_here()?;
            // INVARIANT: nothing below waits after a field was changed, so a dropped call loses nothing.
            let (forwards, count) = (Direction::Forwards, self.page_events_max);
            let page = self.store.read_all(self.position, forwards, &self.filter, count).await?;
            self.position = page.considered;
            self.has_reached_end = page.is_end;
            self.is_live &= page.is_end;
            if let Some(last) = page.events.last() {
                self.told = last.position;
                return Ok(Message::Events(page.events));
            }
            if let Some(checkpoint) = self.untold() {
                return Ok(checkpoint);
            }
        }
    }

    fn untold(&mut self) -> Option<Message> {
        (self.told < self.position).then(|| {
            self.told = self.position;
            Message::Checkpoint(self.position)
        })
    }

    /// Waits until the log is longer than what was read.
    async fn grown(&mut self) -> Result<(), ReadFault> {
        let position = self.position;
        let grown = self.head.wait_for(|head| *head > position).await;
        grown.map(drop).map_err(|_| ReadFault::Unavailable("it was closed".into()))
    }

    fn belongs_here(&self) -> Result<(), ReadFault> {
        let (head, position) = (*self.head.borrow(), self.position);
        if position <= head {
            return Ok(());
        }
        Err(ReadFault::Damaged(format!("asked to go on after position {position}, but the log ends at {head}")))
    }
}
