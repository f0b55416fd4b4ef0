//! The contract, carried out: parse, act, wait, answer.

mod configs;
mod diff;
mod entries;
mod environments;
mod keepers;
mod revise;
mod schemas;
mod secrets;
pub mod value;
mod vault;
mod versions;
mod watch;

use std::sync::Arc;

use cairn_contract::cairn::config::v1::config_service_server::ConfigServiceServer;
use cairn_contract::cairn::config::v1::keeper_service_server::KeeperServiceServer;
use cairn_contract::cairn::config::v1::secret_service_server::SecretServiceServer;
use cairn_contract::cairn::vault::v1::vault_service_server::VaultServiceServer;
use cairn_service::{Refusal, refuse};
use tonic::Status;
use tonic::service::Routes;

use crate::desk::Desk;
use crate::model::Rejection;

/// Every service of configuration.
pub fn routes(desk: &Arc<Desk>) -> Routes {
    Routes::new(SecretServiceServer::new(secrets::Secrets(Arc::clone(desk))))
        .add_service(VaultServiceServer::new(vault::Vault(secrets::Secrets(Arc::clone(desk)))))
        .add_service(KeeperServiceServer::new(keepers::Keepers(Arc::clone(desk))))
        .add_service(ConfigServiceServer::new(configs::Configs(Arc::clone(desk))))
}

fn rejected(rejection: Rejection) -> Status {
    refuse(Refusal::of(&rejection))
}
