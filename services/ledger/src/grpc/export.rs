use std::collections::VecDeque;
use std::pin::Pin;

use cairn_contract::cairn::ledger::v1::{AuditRecord, ExportAuditRecordsRequest};
use cairn_service::Ctx;
use futures::{Stream, stream};
use tonic::Status;

use super::audit::outcome;
use super::{Grpc, caught_up::caught_up, request, visible};
use crate::page::Page;
use crate::query::Wanted;
use crate::render;
use crate::scope::Scope;

/// Records until all have been given.
pub type Records = Pin<Box<dyn Stream<Item = Result<AuditRecord, Status>> + Send>>;

/// Records held at once, for one caller.
const PAGE_RECORDS: usize = 500;

/// How far one export has come. Pulled by the connection: a slow caller costs one page of memory and holds up nobody.
struct Export {
    grpc: Grpc,
    ctx: Ctx,
    /// Fixed when asked, so that all of it is about the same part of the log.
    scope: Scope,
    wanted: Wanted,
    ready: VecDeque<AuditRecord>,
    /// Where the next page begins. `None`: the last has been read.
    next: Option<Page>,
}

impl Grpc {
    pub(super) async fn export(self, ctx: Ctx, asked: ExportAuditRecordsRequest) -> Result<Records, Status> {
        let resource = request::resource(&asked.resource)?;
        let after = request::position("after_position", &asked.after_position)?;
        caught_up(&self.journal, &ctx).await?;
        let wanted = Wanted {
            outcome: outcome(asked.outcome)?,
            principal: request::text(asked.principal),
            action: request::text(asked.action),
            request: request::text(asked.request_id),
            times: (request::time(asked.start_time), request::time(asked.end_time)),
            named: self.named(&ctx, &asked.query).await?,
            until: Some(self.journal.position()),
            is_oldest_first: true,
            ..Wanted::default()
        };
        let scope = visible(&ctx, &resource);
        let next = Some(Page { size: PAGE_RECORDS, after });
        let export = Export { grpc: self, ctx, scope, wanted, ready: VecDeque::new(), next };
        Ok(Box::pin(stream::try_unfold(export, |mut export| async move {
            Ok(export.next().await?.map(|record| (record, export)))
        })))
    }
}

impl Export {
    async fn next(&mut self) -> Result<Option<AuditRecord>, Status> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            let Some(page) = self.next else { return Ok(None) };
            // What was taken away since the call began must not look like the end.
            for name in &self.scope.0 {
                self.ctx.require(&self.ctx.method().permission, name)?;
            }
            let found = self.grpc.find(&self.ctx, self.scope.clone(), self.wanted.clone(), page).await?;
            self.next = found.more_after.map(|last| Page { after: Some(last), ..page });
            self.ready = found.events.into_iter().map(|(event, entry)| render::record(&event, entry)).collect();
        }
    }
}
