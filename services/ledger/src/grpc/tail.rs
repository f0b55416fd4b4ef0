use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use cairn_contract::cairn::ledger::v1::{CloudEvent, Event, ExportCloudEventsRequest, TailEventsRequest};
use cairn_eventstore::{Filter, Message, Recorded, Subscription};
use cairn_kernel::{Name, Position};
use cairn_service::guard::CURSOR;
use cairn_service::{Ctx, Reply, refuse};
use futures::{Stream, TryStreamExt, stream};
use tonic::{Response, Status};

use super::{Grpc, request, visible};
use crate::render;
use crate::scope::Scope;
use cairn_service::entry::Entry;

/// Events until the caller leaves or may see nothing any more.
pub type Events = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;
/// The same as CloudEvents, or only those that were there.
pub type CloudEvents = Pin<Box<dyn Stream<Item = Result<CloudEvent, Status>> + Send>>;

/// What is asked of the log.
struct Asked {
    resource: Name,
    stream: Option<String>,
    filter: Filter,
    /// May be still to come: what the caller has seen elsewhere.
    after: Position,
    /// The last that is given. `None`: there is no last.
    until: Option<Position>,
}

/// One caller's place in the log. Pulled by the connection: a slow caller reads at their own pace and holds up nobody.
struct Tail {
    ctx: Ctx,
    asked: Asked,
    subscription: Subscription,
    /// Where an end promises that nothing is missing.
    whole: Scope,
    /// Everything up to here has been looked at.
    considered: Position,
    ready: VecDeque<(Arc<Recorded>, Entry)>,
}

impl Grpc {
    pub(super) fn tail(&self, ctx: Ctx, asked: TailEventsRequest) -> Reply<Events> {
        let asked = Asked {
            resource: request::resource(&asked.resource)?,
            stream: request::text(asked.stream),
            filter: self.filter(asked.category, asked.r#type),
            after: request::position("after_position", &asked.after_position)?.unwrap_or_else(|| self.now()),
            until: None,
        };
        let (begin, contract) = (asked.after, self.contract);
        let events = self.follow(ctx, asked).map_ok(|(event, entry)| render::event(contract, &event, entry));
        begun(Box::pin(events), begin)
    }

    pub(super) fn cloud_events(&self, ctx: Ctx, asked: ExportCloudEventsRequest) -> Reply<CloudEvents> {
        let asked = Asked {
            resource: request::resource(&asked.resource)?,
            stream: request::text(asked.stream),
            filter: self.filter(asked.category, asked.r#type),
            after: request::position("after_position", &asked.after_position)?.unwrap_or(Position::START),
            until: (!asked.follow).then(|| self.now()),
        };
        let (begin, contract, source) = (asked.after, self.contract, Arc::clone(&self.source));
        let events = self.follow(ctx, asked);
        let events = events.map_ok(move |(event, entry)| render::cloud_event(contract, &source, &event, entry));
        begun(Box::pin(events), begin)
    }

    fn filter(&self, category: String, kind: String) -> Filter {
        Filter {
            categories: request::text(category).into_iter().collect(),
            kinds: request::kinds(self.contract, kind).unwrap_or_default(),
        }
    }

    fn now(&self) -> Position {
        *self.store.head().borrow()
    }

    fn follow(
        &self,
        ctx: Ctx,
        asked: Asked,
    ) -> impl Stream<Item = Result<(Arc<Recorded>, Entry), Status>> + Send + use<> {
        let from = asked.after.min(self.now());
        let tail = Tail {
            subscription: Subscription::new(Arc::clone(&self.store), from, asked.filter.clone()),
            whole: asked.until.map_or(Scope(vec![]), |_| visible(&ctx, &asked.resource)),
            considered: from,
            ready: VecDeque::new(),
            ctx,
            asked,
        };
        stream::try_unfold(tail, |mut tail| async move { Ok(tail.next().await?.map(|event| (event, tail))) })
    }
}

/// An answer that says where it begins.
fn begun<S>(events: S, begin: Position) -> Reply<S> {
    let mut response = Response::new(events);
    response.metadata_mut().insert(CURSOR, begin.0.into());
    Ok(response)
}

impl Tail {
    async fn next(&mut self) -> Result<Option<(Arc<Recorded>, Entry)>, Status> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.asked.until.is_some_and(|until| self.considered >= until) {
                return Ok(None);
            }
            self.considered = match self.subscription.next().await.map_err(refuse)? {
                Message::Events(events) => {
                    self.take(&events)?;
                    events.last().map_or(self.considered, |event| event.position)
                }
                Message::Checkpoint(position) | Message::CaughtUp(position) => position,
            };
            // What was taken away since the call began must not look like the end.
            for name in &self.whole.0 {
                self.ctx.require(&self.ctx.method().permission, name)?;
            }
        }
    }

    /// Keeps what the caller asked for and may see now: what was taken away since the call began shows here.
    fn take(&mut self, events: &[Arc<Recorded>]) -> Result<(), Status> {
        let Asked { resource, stream, after, until, .. } = &self.asked;
        let scope = visible(&self.ctx, resource);
        if scope.0.is_empty() {
            self.ctx.require(&self.ctx.method().permission, resource)?;
        }
        for event in events {
            let is_asked_for = event.position > *after
                && until.is_none_or(|until| event.position <= until)
                && stream.as_deref().is_none_or(|stream| stream == event.stream.as_str());
            // What does not read has been set aside by the journal too.
            let Some(entry) = Entry::of(event).ok().filter(|entry| is_asked_for && scope.covers(&entry.resource))
            else {
                continue;
            };
            self.ready.push_back((Arc::clone(event), entry));
        }
        Ok(())
    }
}
