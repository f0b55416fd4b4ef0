//! Following the whole log: what there is after a position, then what happens.

use std::collections::VecDeque;
use std::sync::Arc;

use cairn_eventstore::{Filter as Whole, Message, Recorded, Subscription};
use cairn_kernel::Position;
use cairn_kurrent_protocol::streams::ReadResp;
use cairn_service::{Ctx, refuse};
use futures::stream;
use tonic::Status;

use super::all::wants;
use super::asked::Begin;
use super::filter::Filter;
use super::telling::{Telling, caught_up, checkpoint, confirmed};
use super::{Answers, Reading, Slot};
use crate::refusals;
use crate::sight::Sight;

/// One subscriber's place in the log.
struct Follower {
    reading: Reading,
    ctx: Ctx,
    telling: Telling,
    filter: Option<Filter>,
    subscription: Subscription,
    /// Everything up to here was considered.
    considered: Position,
    /// The last position that the subscriber was told of, by an event or a checkpoint.
    told: Position,
    /// Events considered since the last checkpoint.
    since: u64,
    ready: VecDeque<Step>,
    sight: Sight,
    _slot: Slot,
}

enum Step {
    Event(Arc<Recorded>),
    Say(Box<ReadResp>),
}

pub fn follow(
    reading: &Reading,
    ctx: Ctx,
    telling: Telling,
    begin: Begin,
    filter: Option<Filter>,
    slot: Slot,
) -> Result<Answers, Status> {
    let head = reading.head();
    let after = match begin {
        Begin::Start => Position::START,
        Begin::End => head,
        // A position that the log has not given yet is one of another log.
        Begin::At(position) if position > head.0 => return Err(refusals::no_position(position, head.0)),
        Begin::At(position) => Position(position),
    };
    let subscription = Subscription::new(Arc::clone(&reading.store), after, Whole::all());
    let follower = Follower {
        subscription: subscription.by_pages_of(reading.config.ahead_events_max),
        sight: Sight::of(&ctx),
        reading: reading.clone(),
        ctx,
        telling,
        filter,
        considered: after,
        told: after,
        since: 0,
        ready: [Step::Say(Box::new(confirmed()))].into(),
        _slot: slot,
    };
    let answers =
        stream::try_unfold(follower, |mut follower| async move { Ok(Some((follower.next().await?, follower))) });
    Ok(Box::pin(answers))
}

impl Follower {
    async fn next(&mut self) -> Result<ReadResp, Status> {
        loop {
            match self.ready.pop_front() {
                Some(Step::Event(event)) => return self.telling.event(&self.sight, &event).await,
                Some(Step::Say(answer)) => return Ok(*answer),
                None => {}
            }
            let message = tokio::select! {
                () = self.reading.closing.cancelled() => return Err(refusals::stopping()),
                message = self.subscription.next() => message.map_err(refuse)?,
            };
            match message {
                Message::Events(events) => {
                    self.sight = Sight::of(&self.ctx);
                    for event in events {
                        self.consider(event)?;
                    }
                }
                Message::Checkpoint(position) => self.considered = position,
                Message::CaughtUp(position) => {
                    self.considered = position;
                    self.check();
                    let now = self.reading.clock.now();
                    self.say(caught_up(now, None, Some(position)));
                }
            }
        }
    }

    fn consider(&mut self, event: Arc<Recorded>) -> Result<(), Status> {
        self.since += event.position.0 - self.considered.0;
        self.considered = event.position;
        if self.sight.sees(&event) && wants(self.filter.as_ref(), &event)? {
            self.told = event.position;
            self.ready.push_back(Step::Event(event));
        }
        if self.filter.as_ref().is_some_and(|filter| self.since >= filter.interval) {
            self.check();
        }
        Ok(())
    }

    /// Tells how far the log was considered. Only those need it who do not want everything.
    ///
    /// INVARIANT: never past what was considered, or whoever goes on from there loses an event.
    fn check(&mut self) {
        self.since = 0;
        if self.filter.is_some() && self.considered > self.told {
            self.told = self.considered;
            let now = self.reading.clock.now();
            self.say(checkpoint(self.considered, now));
        }
    }

    fn say(&mut self, answer: ReadResp) {
        self.ready.push_back(Step::Say(Box::new(answer)));
    }
}
