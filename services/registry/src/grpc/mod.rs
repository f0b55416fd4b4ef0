//! The contract's services: parse, act, wait, answer.

mod answer;
mod hooks;
mod import;
mod models;
pub(crate) mod parse;
mod policies;
mod promotions;
mod signing;
pub(crate) mod versions;

use std::sync::Arc;

use cairn_access::Access;
use cairn_contract::cairn::registry::v1::hook_service_server::HookServiceServer;
use cairn_contract::cairn::registry::v1::import_service_server::ImportServiceServer;
use cairn_contract::cairn::registry::v1::model_version_service_server::ModelVersionServiceServer;
use cairn_contract::cairn::registry::v1::promotion_service_server::PromotionServiceServer;
use cairn_contract::cairn::registry::v1::registered_model_service_server::RegisteredModelServiceServer;
use cairn_contract::cairn::registry::v1::signing_policy_service_server::SigningPolicyServiceServer;
use tonic::service::RoutesBuilder;

use crate::app::App;

/// All services of the contract over one set of commands and queries.
#[derive(Clone)]
pub(crate) struct Grpc {
    app: App,
    /// Who holds which role since when.
    access: Arc<Access>,
}

/// Adds the services of the contract. How large a message may be, the guard in front of them has judged
/// (`limits.message_bytes_max`).
pub(crate) fn add_services(routes: &mut RoutesBuilder, app: App, access: Arc<Access>) {
    let grpc = Grpc { app, access };
    routes
        .add_service(RegisteredModelServiceServer::new(grpc.clone()).max_decoding_message_size(usize::MAX))
        .add_service(ModelVersionServiceServer::new(grpc.clone()).max_decoding_message_size(usize::MAX))
        .add_service(HookServiceServer::new(grpc.clone()).max_decoding_message_size(usize::MAX))
        .add_service(SigningPolicyServiceServer::new(grpc.clone()).max_decoding_message_size(usize::MAX))
        .add_service(ImportServiceServer::new(grpc.clone()).max_decoding_message_size(usize::MAX))
        .add_service(PromotionServiceServer::new(grpc).max_decoding_message_size(usize::MAX));
}
