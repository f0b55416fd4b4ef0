//! Following one stream: what there is after a revision, then what is appended.

use std::collections::VecDeque;
use std::sync::Arc;

use cairn_eventstore::{Direction, Filter, Message, Recorded, Subscription};
use cairn_kernel::{Revision, StreamName};
use cairn_kurrent_protocol::streams::ReadResp;
use cairn_service::{Ctx, refuse};
use futures::stream;
use tonic::Status;

use super::asked::Begin;
use super::stream::{Found, find};
use super::telling::{Telling, caught_up, confirmed};
use super::{Answers, Reading, Slot};
use crate::kept::Limits;
use crate::names::{METADATA, Place};
use crate::refusals;
use crate::shown::Shown;
use crate::sight::Sight;

/// One subscriber's place in a stream.
struct Follower {
    reading: Reading,
    ctx: Ctx,
    telling: Telling,
    name: String,
    stream: StreamName,
    /// Where the end of the stream would be told.
    said: Option<StreamName>,
    limits: Limits,
    first: u64,
    /// The revision that comes next.
    next: u64,
    /// Whether history has been read; what follows comes from the log as it grows.
    is_read: bool,
    subscription: Subscription,
    ready: VecDeque<Step>,
    sight: Sight,
    _slot: Slot,
}

enum Step {
    Event(Arc<Recorded>),
    Say(Box<ReadResp>),
    /// The stream has ended for good.
    End,
}

pub async fn follow(
    reading: &Reading,
    ctx: Ctx,
    telling: Telling,
    (name, place): (String, Place),
    begin: Begin,
    slot: Slot,
) -> Result<Answers, Status> {
    // Before history is looked at, so that nothing that is appended meanwhile is between the two.
    let head = reading.head();
    let Found { stream, limits, last } = find(reading, &ctx, &name, &place).await?;
    let next = match begin {
        Begin::Start => 0,
        Begin::End => match last {
            Some(last) => last.0 + 1,
            // What is deleted is not told, but counts.
            None => last_of(reading, &stream).await?,
        },
        Begin::At(revision) => revision.saturating_add(1),
    };
    let said = match &place {
        Place::Program(program) | Place::Metadata(program) => Some(program.metadata()),
        Place::Platform(_) | Place::System => None,
    };
    let mut categories = vec![stream.category().to_owned()];
    if said.is_some() {
        categories.push(METADATA.to_owned());
    }
    let subscription = Subscription::new(Arc::clone(&reading.store), head, Filter { categories, ..Filter::default() });
    let follower = Follower {
        subscription: subscription.by_pages_of(reading.config.ahead_events_max),
        sight: Sight::of(&ctx),
        reading: reading.clone(),
        ctx,
        telling,
        name,
        first: last.map_or(0, |last| limits.first(last)),
        stream,
        said,
        limits,
        next,
        is_read: last.is_none(),
        ready: [Step::Say(Box::new(confirmed()))].into(),
        _slot: slot,
    };
    let answers =
        stream::try_unfold(follower, |mut follower| async move { Ok(Some((follower.next().await?, follower))) });
    Ok(Box::pin(answers))
}

/// The revision after the last one of a stream, shown or not.
async fn last_of(reading: &Reading, stream: &StreamName) -> Result<u64, Status> {
    let last = reading.store.read(stream, Revision(u64::MAX), Direction::Backwards, 1).await.map_err(refuse)?;
    Ok(last.first().map_or(0, |last| last.revision.0 + 1))
}

impl Follower {
    async fn next(&mut self) -> Result<ReadResp, Status> {
        loop {
            match self.ready.pop_front() {
                Some(Step::Event(event)) => return self.telling.event(&self.sight, &event).await,
                Some(Step::Say(answer)) => return Ok(*answer),
                Some(Step::End) => return Err(refusals::deleted(&self.name)),
                None if self.is_read => self.live().await?,
                None => self.history().await?,
            }
        }
    }

    async fn history(&mut self) -> Result<(), Status> {
        let (next, count) = (Revision(self.next.max(self.first)), self.reading.config.ahead_events_max);
        let events = self.reading.store.read(&self.stream, next, Direction::Forwards, count).await.map_err(refuse)?;
        self.sight = Sight::of(&self.ctx);
        self.is_read = events.is_empty();
        let now = self.reading.clock.now();
        for event in events {
            self.next = event.revision.0 + 1;
            if !self.limits.is_outdated(&event, now) && self.sight.sees(&event) {
                self.ready.push_back(Step::Event(event));
            }
        }
        Ok(())
    }

    async fn live(&mut self) -> Result<(), Status> {
        let message = tokio::select! {
            () = self.reading.closing.cancelled() => return Err(refusals::stopping()),
            message = self.subscription.next() => message.map_err(refuse)?,
        };
        match message {
            Message::Events(events) => {
                self.sight = Sight::of(&self.ctx);
                for event in events {
                    self.take(event);
                }
            }
            Message::Checkpoint(_) => {}
            Message::CaughtUp(position) => {
                let revision = self.next.checked_sub(1).map(u64::cast_signed);
                let told = caught_up(self.reading.clock.now(), revision, Some(position));
                self.ready.push_back(Step::Say(Box::new(told)));
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Arc<Recorded>) {
        let is_end = self.said.as_ref() == Some(&event.stream) && Shown::of(&event).is_tombstone();
        let is_next = event.stream == self.stream && event.revision.0 >= self.next;
        if !(is_end || is_next) || !self.sight.sees(&event) {
            return;
        }
        if is_next {
            self.next = event.revision.0 + 1;
        }
        self.ready.push_back(Step::Event(event));
        if is_end {
            self.ready.push_back(Step::End);
        }
    }
}
