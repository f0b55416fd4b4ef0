use cairn_contract::google::api::HttpBody;
use cairn_service::Reply;
use proto::mlflow_server_service_server::MlflowServerService;
use tonic::{Request, Response};

use super::{Mlflow, proto};

/// The release of MLflow whose protocol is spoken. Clients parse it as a version.
const VERSION: &str = "3.17.2";

#[tonic::async_trait]
impl MlflowServerService for Mlflow {
    async fn check_health(&self, _request: Request<proto::CheckHealthRequest>) -> Reply<HttpBody> {
        Ok(text("OK"))
    }

    async fn get_version(&self, _request: Request<proto::GetVersionRequest>) -> Reply<HttpBody> {
        Ok(text(VERSION))
    }

    async fn get_server_info(
        &self,
        _request: Request<proto::GetServerInfoRequest>,
    ) -> Reply<proto::GetServerInfoResponse> {
        Ok(Response::new(proto::GetServerInfoResponse {
            store_type: Some("Cairn".to_owned()),
            workspaces_enabled: Some(true),
            trace_archival_enabled: Some(false),
            multipart_uploads_enabled: Some(true),
            // Only an address that leads past us to the store itself is worth the detour.
            multipart_downloads_enabled: Some(self.artifacts.is_direct()),
            presigned_upload_run_id_supported: Some(false),
            presigned_upload_model_id_supported: Some(false),
            features_enabled: [("gateway".to_owned(), false)].into(),
        }))
    }
}

fn text(text: &'static str) -> Response<HttpBody> {
    let content_type = "text/plain; charset=utf-8".to_owned();
    Response::new(HttpBody { content_type, data: text.into(), extensions: vec![] })
}
