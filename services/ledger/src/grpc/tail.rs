use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use cairn_contract::Contract;
use cairn_contract::cairn::ledger::v1::{Event, TailEventsRequest};
use cairn_eventstore::{Filter, Message, Recorded, Subscription};
use cairn_kernel::{Name, Position};
use cairn_service::{Ctx, refuse};
use futures::{Stream, stream};
use tonic::Status;

use super::{Grpc, request, visible};
use crate::entry::Entry;
use crate::render;

/// Events until the caller leaves or may see nothing any more.
pub type Events = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

/// One caller's place in the log. Pulled by the connection: a slow caller reads at their own pace and holds up nobody.
struct Tail {
    contract: &'static Contract,
    ctx: Ctx,
    resource: Name,
    stream: Option<String>,
    subscription: Subscription,
    /// May be still to come: what the caller has seen elsewhere.
    after: Position,
    ready: VecDeque<Event>,
}

impl Grpc {
    pub(super) fn tail(&self, ctx: Ctx, asked: TailEventsRequest) -> Result<Events, Status> {
        let filter = Filter {
            categories: request::text(asked.category).into_iter().collect(),
            kinds: request::kinds(self.contract, asked.r#type).unwrap_or_default(),
        };
        let now = *self.store.head().borrow();
        let after = request::position("after_position", &asked.after_position)?.unwrap_or(now);
        let tail = Tail {
            contract: self.contract,
            resource: request::resource(&asked.resource)?,
            stream: request::text(asked.stream),
            subscription: Subscription::new(Arc::clone(&self.store), after.min(now), filter),
            after,
            ready: VecDeque::new(),
            ctx,
        };
        Ok(Box::pin(stream::unfold(Some(tail), |tail| async move {
            let mut tail = tail?;
            match tail.next().await {
                Ok(event) => Some((Ok(event), Some(tail))),
                Err(status) => Some((Err(status), None)),
            }
        })))
    }
}

impl Tail {
    async fn next(&mut self) -> Result<Event, Status> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            if let Message::Events(events) = self.subscription.next().await.map_err(refuse)? {
                self.take(&events)?;
            }
        }
    }

    /// Keeps what the caller asked for and may see now: what was taken away since the call began shows here.
    fn take(&mut self, events: &[Arc<Recorded>]) -> Result<(), Status> {
        let scope = visible(&self.ctx, &self.resource);
        if scope.0.is_empty() {
            self.ctx.require(&self.ctx.method().permission, &self.resource)?;
        }
        for event in events {
            let is_asked_for = event.position > self.after
                && self.stream.as_deref().is_none_or(|stream| stream == event.stream.as_str());
            // What does not read has been set aside by the journal too.
            let Some(entry) = Entry::of(event).ok().filter(|entry| is_asked_for && scope.covers(&entry.resource))
            else {
                continue;
            };
            self.ready.push_back(render::event(self.contract, event, entry));
        }
        Ok(())
    }
}
