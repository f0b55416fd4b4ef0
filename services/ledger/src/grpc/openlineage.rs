use std::borrow::Cow;
use std::sync::Arc;

use cairn_contract::Contract;
use cairn_contract::cairn::openlineage::v1::open_lineage_service_server::OpenLineageService;
use cairn_contract::cairn::openlineage::v1::{ReceiveEventRequest, ReceiveEventResponse};
use cairn_eventstore::{EventStore, NewEvent, Write};
use cairn_kernel::{Expected, Name, StreamName};
use cairn_projection::View;
use cairn_service::{Ctx, Refusal, Reply, refuse};
use prost::{Message, Name as _};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::lineage::{ReceiveLimits, read};
use crate::reading::right_to_read;

/// Where received events are kept.
const CATEGORY: &str = "ledger.open_lineage";
/// Namespace of the ids of received events: the same text is the same event.
const EVENTS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_6f70_656e_6c69);

/// Takes in what pipelines outside Cairn tell.
#[derive(Clone)]
pub struct OpenLineage {
    pub contract: &'static Contract,
    pub store: Arc<dyn EventStore>,
    pub view: View,
    pub limits: ReceiveLimits,
}

impl OpenLineage {
    async fn receive(&self, ctx: &Ctx, body: &[u8]) -> Reply<ReceiveEventResponse> {
        let project = ctx.resource();
        // The edge asks only whether the caller may do it somewhere in the project.
        ctx.require(&ctx.method().permission, project)?;
        let received = read(project, body, self.limits).map_err(|fault| refuse(Refusal::of(&fault)))?;
        for resource in &received.resources {
            self.may_name(ctx, project, resource)?;
        }
        let event = received.event;
        let answer =
            ReceiveEventResponse { project: project.to_string(), job: event.job.clone(), run: event.run.clone() };
        let place = if event.job.is_empty() { project.as_str() } else { &event.job };
        let new = NewEvent {
            id: Uuid::new_v5(&EVENTS, [project.as_str().as_bytes(), b"\n", body].concat().as_slice()),
            kind: Cow::Owned(cairn_contract::cairn::ledger::events::v1::OpenLineageReceived::full_name()),
            payload: event.encode_to_vec().into(),
            metadata: ctx.metadata().encode().into(),
        };
        let write = Write::new(StreamName::of(CATEGORY, place), Expected::Any, vec![new]);
        let appended = self.store.append(vec![write]).await.map_err(refuse)?;
        self.view.reached(appended.position, ctx.deadline()).await.map_err(refuse)?;
        Ok(ctx.reply(answer, appended.position))
    }

    /// Whether the caller may say something of a resource: it is in the project they write to, or they can read it.
    fn may_name(&self, ctx: &Ctx, project: &Name, resource: &Name) -> Result<(), Status> {
        if project.covers(resource) {
            return Ok(());
        }
        ctx.require(right_to_read(self.contract, resource).unwrap_or("ledger.lineage.read"), resource)
    }
}

#[tonic::async_trait]
impl OpenLineageService for OpenLineage {
    async fn receive_event(&self, request: Request<ReceiveEventRequest>) -> Reply<ReceiveEventResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        self.receive(&ctx, &request.event.unwrap_or_default().data).await
    }
}
