//! MLflow's tracking protocol: the same commands and queries, in another accent.
//!
//! Never a second domain: what happens is decided by [`crate::app`] and [`crate::artifacts`]. Here requests are judged
//! in MLflow's words (what is missing, what is too long), ids become names, and records become MLflow's messages. The
//! edge only knows the project, so every method asks for its permission again once it knows the exact resource.

mod artifact_paths;
mod artifacts;
mod caller;
mod convert;
mod entries;
mod experiments;
mod fault;
mod logged_models;
mod metrics;
mod required;
mod runs;
mod server;

use cairn_contract::cairn::mlflow::v1 as proto;
use proto::mlflow_artifact_service_server::MlflowArtifactServiceServer;
use proto::mlflow_experiment_service_server::MlflowExperimentServiceServer;
use proto::mlflow_logged_model_service_server::MlflowLoggedModelServiceServer;
use proto::mlflow_metric_service_server::MlflowMetricServiceServer;
use proto::mlflow_run_service_server::MlflowRunServiceServer;
use proto::mlflow_server_service_server::MlflowServerServiceServer;
use tonic::service::Routes;

use crate::app::App;
use crate::artifacts::Artifacts;

/// Answers as an MLflow server does. Cheap to clone.
#[derive(Clone)]
pub struct Mlflow {
    app: App,
    artifacts: Artifacts,
}

impl Mlflow {
    /// Over the commands and queries of this service.
    pub fn new(app: App, artifacts: Artifacts) -> Self {
        Self { app, artifacts }
    }

    /// Adds MLflow's services. How large a message may be, the guard in front of them has judged
    /// (`limits.message_bytes_max`).
    pub fn routes(&self, routes: Routes) -> Routes {
        macro_rules! add {
            ($($service:ident),+) => {
                routes$(.add_service(
                    $service::new(self.clone())
                        .max_decoding_message_size(usize::MAX)
                        .max_encoding_message_size(usize::MAX),
                ))+
            };
        }
        add!(
            MlflowExperimentServiceServer,
            MlflowRunServiceServer,
            MlflowMetricServiceServer,
            MlflowLoggedModelServiceServer,
            MlflowArtifactServiceServer,
            MlflowServerServiceServer
        )
    }
}
