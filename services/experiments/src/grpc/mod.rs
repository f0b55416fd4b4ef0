//! The contract's services: parse, act, wait, answer.

mod answer;
mod compare;
mod experiments;
mod import;
mod logged_models;
mod metrics;
mod parse;
mod runs;

use cairn_contract::cairn::experiments::v1::experiment_service_server::ExperimentServiceServer;
use cairn_contract::cairn::experiments::v1::import_service_server::ImportServiceServer;
use cairn_contract::cairn::experiments::v1::logged_model_service_server::LoggedModelServiceServer;
use cairn_contract::cairn::experiments::v1::metric_service_server::MetricServiceServer;
use cairn_contract::cairn::experiments::v1::run_service_server::RunServiceServer;
use tonic::service::RoutesBuilder;

pub(crate) use self::parse::page_size_within;

use crate::app::App;

/// All services of the contract over one set of commands and queries.
#[derive(Clone)]
pub(crate) struct Grpc {
    app: App,
}

/// Adds the services of the contract. How large a message may be, the guard in front of them has judged
/// (`limits.message_bytes_max`).
pub(crate) fn add_services(routes: &mut RoutesBuilder, app: App) {
    let grpc = Grpc { app };
    routes
        .add_service(ExperimentServiceServer::new(grpc.clone()).max_decoding_message_size(usize::MAX))
        .add_service(RunServiceServer::new(grpc.clone()).max_decoding_message_size(usize::MAX))
        .add_service(MetricServiceServer::new(grpc.clone()).max_decoding_message_size(usize::MAX))
        .add_service(ImportServiceServer::new(grpc.clone()).max_decoding_message_size(usize::MAX))
        .add_service(LoggedModelServiceServer::new(grpc).max_decoding_message_size(usize::MAX));
}
