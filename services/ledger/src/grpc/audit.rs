use cairn_contract::cairn::ledger::v1::{ListAuditRecordsRequest, ListAuditRecordsResponse, Outcome};
use cairn_service::{Ctx, Refusal, refuse};
use prost::Message;
use tonic::Status;

use super::{Grpc, request, visible};
use crate::query::Wanted;
use crate::render;

impl Grpc {
    pub(super) async fn audit_records(
        &self,
        ctx: &Ctx,
        mut asked: ListAuditRecordsRequest,
    ) -> Result<ListAuditRecordsResponse, Status> {
        let (size, token) = (std::mem::take(&mut asked.page_size), std::mem::take(&mut asked.page_token));
        let question = asked.encode_to_vec();
        let page = request::page(size, &token, &question)?;
        let resource = request::resource(&asked.resource)?;
        let wanted = Wanted {
            outcome: outcome(asked.outcome)?,
            principal: request::text(asked.principal),
            action: request::text(asked.action),
            request: request::text(asked.request_id),
            times: (request::time(asked.start_time), request::time(asked.end_time)),
            named: self.named(ctx, &asked.query).await?,
            ..Wanted::default()
        };
        let found = self.find(ctx, visible(ctx, &resource), wanted, page).await?;
        let next_page_token = found.next_page_token(&question);
        let records = found.events.into_iter().map(|(event, entry)| render::record(&event, entry));
        Ok(ListAuditRecordsResponse { audit_records: records.collect(), next_page_token })
    }
}

/// A filter on outcomes.
pub(super) fn outcome(number: i32) -> Result<Option<Outcome>, Status> {
    match Outcome::try_from(number) {
        Ok(Outcome::Unspecified) => Ok(None),
        Ok(outcome) => Ok(Some(outcome)),
        Err(_) => Err(refuse(Refusal::invalid("outcome", format!("{number} is not an outcome")))),
    }
}
