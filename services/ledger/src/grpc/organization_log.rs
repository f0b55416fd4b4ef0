//! The log of one organization: what the transparency service answers, from its own tree.

use cairn_contract::cairn::ledger::v1::organization_log_service_server::OrganizationLogService;
use cairn_contract::cairn::ledger::v1::{
    Checkpoint, ConsistencyProof, EventProof, FetchOrganizationCheckpointRequest, ProveOrganizationConsistencyRequest,
    ProveOrganizationEventRequest, ReadOrganizationLogRequest,
};
use cairn_contract::google::api::HttpBody;
use cairn_service::{Ctx, Refusal, Reply, refuse};
use tonic::{Request, Response, Status};

use super::transparency::Transparency;
use crate::tree::Whose;

#[tonic::async_trait]
impl OrganizationLogService for Transparency {
    async fn fetch_organization_checkpoint(
        &self,
        request: Request<FetchOrganizationCheckpointRequest>,
    ) -> Reply<Checkpoint> {
        let (ctx, request) = Ctx::accept(request)?;
        self.checkpoint(&ctx, &whose(&request.organization)?).await.map(Response::new)
    }

    async fn prove_organization_event(&self, request: Request<ProveOrganizationEventRequest>) -> Reply<EventProof> {
        let (ctx, request) = Ctx::accept(request)?;
        self.prove(&ctx, &whose(&request.organization)?, &request.position).await.map(Response::new)
    }

    async fn prove_organization_consistency(
        &self,
        request: Request<ProveOrganizationConsistencyRequest>,
    ) -> Reply<ConsistencyProof> {
        let (ctx, request) = Ctx::accept(request)?;
        let whose = whose(&request.organization)?;
        self.consistency(&ctx, &whose, &request.from_size, &request.to_size).await.map(Response::new)
    }

    async fn read_organization_log(&self, request: Request<ReadOrganizationLogRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        self.read(&ctx, &whose(&request.organization)?, request.path).await.map(Response::new)
    }
}

fn whose(organization: &str) -> Result<Whose, Status> {
    let name = organization.parse().map_err(|fault| refuse(Refusal::invalid("organization", format!("{fault}"))))?;
    Ok(Whose::Organization(name))
}
