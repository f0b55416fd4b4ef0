//! How much a project takes up here, for whoever is to see how far its quota reaches.

use cairn_contract::cairn::experiments::v1 as proto;
use cairn_contract::cairn::experiments::v1::usage_service_server::{UsageService, UsageServiceServer};
use cairn_service::{Ctx, Reply, field, refuse};
use tonic::service::Routes;
use tonic::{Request, Response, async_trait};

use crate::app::{App, Call};
use crate::artifacts::Artifacts;
use crate::model::ProjectName;

/// The usage service as the contract offers it.
struct Grpc {
    app: App,
    artifacts: Artifacts,
}

/// Adds the service.
pub(crate) fn add_service(routes: Routes, app: App, artifacts: Artifacts) -> Routes {
    routes.add_service(UsageServiceServer::new(Grpc { app, artifacts }))
}

#[async_trait]
impl UsageService for Grpc {
    async fn get_project_usage(&self, request: Request<proto::GetProjectUsageRequest>) -> Reply<proto::ProjectUsage> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("name", &request.name)?;
        let reading = self.app.reading(&Call::read(&ctx, &request.as_of)?).await.map_err(refuse)?;
        let count = reading.query.run_count(&project).await.map_err(refuse)?;
        let kept = self.artifacts.usage(&ctx, &request.as_of, &project).await?;
        let many = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Response::new(proto::ProjectUsage {
            name: project.to_string(),
            runs: many(count.runs),
            concurrent_runs: many(count.running),
            storage_bytes: kept.bytes,
            artifacts: many(kept.artifacts),
        }))
    }
}
