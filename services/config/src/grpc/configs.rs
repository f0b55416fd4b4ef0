use std::pin::Pin;
use std::sync::Arc;

use cairn_contract::cairn::config::v1 as proto;
use cairn_contract::cairn::config::v1::config_service_server::ConfigService;
use cairn_service::Reply;
use futures::Stream;
use tonic::{Request, Status};

use crate::desk::Desk;

/// Configuration as it changes, until the caller leaves.
pub type Watched = Pin<Box<dyn Stream<Item = Result<proto::Config, Status>> + Send>>;

/// The service. What each method does stands in a file by its subject.
pub struct Configs(pub Arc<Desk>);

#[tonic::async_trait]
impl ConfigService for Configs {
    type WatchConfigStream = Watched;

    async fn create_environment(&self, request: Request<proto::CreateEnvironmentRequest>) -> Reply<proto::Environment> {
        self.create(request).await
    }

    async fn get_environment(&self, request: Request<proto::GetEnvironmentRequest>) -> Reply<proto::Environment> {
        self.environment(request).await
    }

    async fn list_environments(
        &self,
        request: Request<proto::ListEnvironmentsRequest>,
    ) -> Reply<proto::ListEnvironmentsResponse> {
        self.environments(request).await
    }

    async fn search_environments(
        &self,
        request: Request<proto::SearchEnvironmentsRequest>,
    ) -> Reply<proto::SearchEnvironmentsResponse> {
        self.environments_of_all(request).await
    }

    async fn delete_environment(&self, request: Request<proto::DeleteEnvironmentRequest>) -> Reply<proto::Environment> {
        self.delete(request).await
    }

    async fn get_config(&self, request: Request<proto::GetConfigRequest>) -> Reply<proto::Config> {
        self.config(request).await
    }

    async fn watch_config(&self, request: Request<proto::WatchConfigRequest>) -> Reply<Watched> {
        self.watch(request).await
    }

    async fn revise_config(&self, request: Request<proto::ReviseConfigRequest>) -> Reply<proto::ConfigRevision> {
        self.revise_several(request).await
    }

    async fn roll_back_config(&self, request: Request<proto::RollBackConfigRequest>) -> Reply<proto::ConfigRevision> {
        self.roll_back(request).await
    }

    async fn diff_config(&self, request: Request<proto::DiffConfigRequest>) -> Reply<proto::DiffConfigResponse> {
        self.diff(request).await
    }

    async fn list_config_revisions(
        &self,
        request: Request<proto::ListConfigRevisionsRequest>,
    ) -> Reply<proto::ListConfigRevisionsResponse> {
        self.revisions(request).await
    }

    async fn get_entry(&self, request: Request<proto::GetEntryRequest>) -> Reply<proto::Entry> {
        self.entry(request).await
    }

    async fn set_entry(&self, request: Request<proto::SetEntryRequest>) -> Reply<proto::Entry> {
        self.set(request).await
    }

    async fn delete_entry(&self, request: Request<proto::DeleteEntryRequest>) -> Reply<proto::Entry> {
        self.remove(request).await
    }

    async fn set_schema(&self, request: Request<proto::SetSchemaRequest>) -> Reply<proto::Schema> {
        self.declare_schema(request).await
    }

    async fn get_schema(&self, request: Request<proto::GetSchemaRequest>) -> Reply<proto::Schema> {
        self.schema(request).await
    }

    async fn list_schemas(&self, request: Request<proto::ListSchemasRequest>) -> Reply<proto::ListSchemasResponse> {
        self.schemas(request).await
    }

    async fn delete_schema(&self, request: Request<proto::DeleteSchemaRequest>) -> Reply<proto::Schema> {
        self.withdraw_schema(request).await
    }
}
