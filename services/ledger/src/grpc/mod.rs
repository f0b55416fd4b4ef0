mod audit;
mod caught_up;
mod events;
mod export;
mod lineage;
mod lineage_export;
mod openlineage;
mod organization_log;
mod request;
mod signing;
mod tail;
mod transparency;

use std::sync::Arc;

use cairn_contract::Contract;
use cairn_contract::cairn::ledger::v1::ledger_service_server::LedgerService;
use cairn_contract::cairn::ledger::v1::{
    ExportAuditRecordsRequest, ExportCloudEventsRequest, ListAuditRecordsRequest, ListAuditRecordsResponse,
    ListEventsRequest, ListEventsResponse, ReadResourceHistoryRequest, ReadResourceHistoryResponse, TailEventsRequest,
};
use cairn_eventstore::{EventStore, Recorded};
use cairn_kernel::{Name, Position};
use cairn_projection::View;
use cairn_service::{Ctx, Refusal, Reply, refuse};
use tonic::{Request, Response, Status};

use self::caught_up::caught_up;
use crate::log;
use crate::names;
use crate::page::Page;
use crate::query::{Named, Query, Wanted};
use crate::scope::Scope;
use cairn_service::entry::Entry;

pub use lineage::Lineage;
pub use openlineage::OpenLineage;
pub use signing::SigningDesk;
pub use transparency::Transparency;

/// Bytes of stored events after which a page ends early. One event may exceed it.
const PAGE_BYTES_MAX: usize = 2 << 20;

/// Answers from the journal and the log.
#[derive(Clone)]
pub struct Grpc {
    contract: &'static Contract,
    query: Query,
    store: Arc<dyn EventStore>,
    journal: View,
    /// The log, as CloudEvents name where they come from.
    source: Arc<str>,
}

/// A page of the log as the caller may see it.
struct Found {
    events: Vec<(Arc<Recorded>, Entry)>,
    /// Where the page ended, if there is more behind it.
    more_after: Option<Position>,
}

impl Found {
    /// Asks for the next page of this question; empty on the last.
    fn next_page_token(&self, question: &[u8]) -> String {
        self.more_after.map(|last| Page::token(last, question)).unwrap_or_default()
    }
}

impl Grpc {
    /// `log` is its name for ever.
    pub fn new(
        contract: &'static Contract,
        query: Query,
        store: Arc<dyn EventStore>,
        journal: View,
        log: &str,
    ) -> Self {
        Self { contract, query, store, journal, source: format!("https://{log}").into() }
    }

    /// What the words of a query stand for in the log that the caller has seen.
    async fn named(&self, ctx: &Ctx, query: &str) -> Result<Vec<Vec<Named>>, Status> {
        caught_up(&self.journal, ctx).await?;
        let named = self.query.named(names::words(query)).await.map_err(refuse)?;
        named.map_err(|fault| refuse(Refusal::of(&fault)))
    }

    /// Waits for what the caller has written, searches the journal and reads what was found.
    async fn find(&self, ctx: &Ctx, scope: Scope, wanted: Wanted, page: Page) -> Result<Found, Status> {
        caught_up(&self.journal, ctx).await?;
        let request = wanted.request.clone();
        let (positions, has_more) = self.query.positions(scope, wanted, page).await.map_err(refuse)?;
        let read = log::events_at(&self.store, &positions, PAGE_BYTES_MAX).await.map_err(refuse)?;
        let is_cut = read.positions < positions.len();
        let more_after = positions[..read.positions].last().copied().filter(|_| has_more || is_cut);
        let entries = read.events.into_iter().filter_map(|event| Entry::of(&event).ok().map(|entry| (event, entry)));
        // The journal knows a request by its fingerprint only.
        let fits = |entry: &Entry| request.as_ref().is_none_or(|request| entry.metadata.request_id == *request);
        let events = entries.filter(|(_, entry)| fits(entry)).collect();
        Ok(Found { events, more_after })
    }
}

/// What the caller may see at or below a name, with the permission of this method.
fn visible(ctx: &Ctx, asked: &Name) -> Scope {
    Scope(ctx.visible(&ctx.method().permission, asked))
}

#[tonic::async_trait]
impl LedgerService for Grpc {
    async fn list_audit_records(&self, request: Request<ListAuditRecordsRequest>) -> Reply<ListAuditRecordsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        self.audit_records(&ctx, request).await.map(Response::new)
    }

    type ExportAuditRecordsStream = export::Records;

    async fn export_audit_records(&self, request: Request<ExportAuditRecordsRequest>) -> Reply<export::Records> {
        let (ctx, request) = Ctx::accept(request)?;
        self.clone().export(ctx, request).await.map(Response::new)
    }

    async fn list_events(&self, request: Request<ListEventsRequest>) -> Reply<ListEventsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        self.events(&ctx, request).await.map(Response::new)
    }

    async fn read_resource_history(
        &self,
        request: Request<ReadResourceHistoryRequest>,
    ) -> Reply<ReadResourceHistoryResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        self.history(&ctx, request).await.map(Response::new)
    }

    type TailEventsStream = tail::Events;

    async fn tail_events(&self, request: Request<TailEventsRequest>) -> Reply<tail::Events> {
        let (ctx, request) = Ctx::accept(request)?;
        self.tail(ctx, request)
    }

    type ExportCloudEventsStream = tail::CloudEvents;

    async fn export_cloud_events(&self, request: Request<ExportCloudEventsRequest>) -> Reply<tail::CloudEvents> {
        let (ctx, request) = Ctx::accept(request)?;
        self.cloud_events(ctx, request)
    }
}
