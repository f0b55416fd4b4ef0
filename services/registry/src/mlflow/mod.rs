//! MLflow's model registry: the same commands and queries, in another accent.
//!
//! Never a second domain: what happens is decided by [`crate::app`]. Here requests are judged in MLflow's words (what is
//! missing, what is too long), names become resource names, and records become MLflow's messages. The edge only knows the
//! project, so every method asks for its permission again once it knows the exact resource.

mod caller;
mod convert;
mod fault;
mod models;
mod required;
mod versions;
mod webhooks;

use cairn_contract::cairn::mlflow::v1 as proto;
use proto::mlflow_model_version_service_server::MlflowModelVersionServiceServer;
use proto::mlflow_registered_model_service_server::MlflowRegisteredModelServiceServer;
use proto::mlflow_webhook_service_server::MlflowWebhookServiceServer;
use tonic::service::Routes;

use crate::app::App;

/// Answers as an MLflow server does. Cheap to clone.
#[derive(Clone)]
pub struct Mlflow {
    app: App,
}

impl Mlflow {
    /// Over the commands and queries of this service.
    pub fn new(app: App) -> Self {
        Self { app }
    }

    /// Adds MLflow's services. How large a message may be, the guard in front of them has judged
    /// (`limits.message_bytes_max`).
    pub fn routes(&self, routes: Routes) -> Routes {
        let models = MlflowRegisteredModelServiceServer::new(self.clone());
        let versions = MlflowModelVersionServiceServer::new(self.clone());
        let webhooks = MlflowWebhookServiceServer::new(self.clone());
        routes
            .add_service(models.max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX))
            .add_service(versions.max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX))
            .add_service(webhooks.max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX))
    }
}
