use cairn_contract::cairn::ledger::v1::{
    ListEventsRequest, ListEventsResponse, Order, Outcome, ReadResourceHistoryRequest, ReadResourceHistoryResponse,
};
use cairn_kernel::Name;
use cairn_service::{Ctx, field};
use prost::Message;
use tonic::Status;

use super::{Found, Grpc, request, visible};
use crate::query::Wanted;
use crate::reading::right_to_read;
use crate::render;
use crate::scope::Scope;

/// The right to read the log itself.
const EVENTS_READ: &str = "ledger.events.read";

impl Grpc {
    pub(super) async fn events(&self, ctx: &Ctx, mut asked: ListEventsRequest) -> Result<ListEventsResponse, Status> {
        let (size, token) = (std::mem::take(&mut asked.page_size), std::mem::take(&mut asked.page_token));
        let question = asked.encode_to_vec();
        let page = request::page(size, &token, &question)?;
        let resource = request::resource(&asked.resource)?;
        let wanted = Wanted {
            is_oldest_first: asked.order() == Order::OldestFirst,
            after: request::position("after_position", &asked.after_position)?,
            kinds: request::kinds(self.contract, asked.r#type),
            stream: request::text(asked.stream),
            category: request::text(asked.category),
            ..Wanted::default()
        };
        let found = self.find(ctx, visible(ctx, &resource), wanted, page).await?;
        Ok(ListEventsResponse { next_page_token: found.next_page_token(&question), events: self.shown(found) })
    }

    pub(super) async fn history(
        &self,
        ctx: &Ctx,
        asked: ReadResourceHistoryRequest,
    ) -> Result<ReadResourceHistoryResponse, Status> {
        let page = request::page(asked.page_size, &asked.page_token, asked.name.as_bytes())?;
        let name: Name = field("name", &asked.name)?;
        let wanted =
            Wanted { outcome: Some(Outcome::Committed), is_exact: true, is_oldest_first: true, ..Wanted::default() };
        let sees_log = ctx.require(EVENTS_READ, &name).is_ok();
        if !sees_log {
            // What nothing gets by its name is in the log alone.
            ctx.require(right_to_read(self.contract, &name).unwrap_or(EVENTS_READ), &name)?;
        }
        let found = self.find(ctx, Scope(vec![name]), wanted, page).await?;
        let next_page_token = found.next_page_token(asked.name.as_bytes());
        let mut events = self.shown(found);
        if !sees_log {
            events.iter_mut().for_each(render::hide_request);
        }
        Ok(ReadResourceHistoryResponse { next_page_token, events })
    }

    fn shown(&self, found: Found) -> Vec<cairn_contract::cairn::ledger::v1::Event> {
        found.events.into_iter().map(|(event, entry)| render::event(self.contract, &event, entry)).collect()
    }
}
