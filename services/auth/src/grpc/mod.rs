//! The contract, carried out: parse, act, wait, answer.

mod access;
mod api_keys;
mod break_glass;
mod decisions;
mod groups;
mod organizations;
mod projects;
mod roles;
mod service_accounts;
mod terms;
mod tokens;
mod users;

pub use api_keys::digest;

use std::sync::Arc;

use cairn_contract::cairn::auth::v1::access_service_server::AccessServiceServer;
use cairn_contract::cairn::auth::v1::api_key_service_server::ApiKeyServiceServer;
use cairn_contract::cairn::auth::v1::break_glass_service_server::BreakGlassServiceServer;
use cairn_contract::cairn::auth::v1::group_service_server::GroupServiceServer;
use cairn_contract::cairn::auth::v1::organization_service_server::OrganizationServiceServer;
use cairn_contract::cairn::auth::v1::project_service_server::ProjectServiceServer;
use cairn_contract::cairn::auth::v1::role_service_server::RoleServiceServer;
use cairn_contract::cairn::auth::v1::service_account_service_server::ServiceAccountServiceServer;
use cairn_contract::cairn::auth::v1::token_service_server::TokenServiceServer;
use cairn_contract::cairn::auth::v1::user_service_server::UserServiceServer;
use tonic::service::Routes;

use crate::desk::Desk;

/// Every service of auth.
pub fn routes(desk: &Arc<Desk>) -> Routes {
    Routes::new(ProjectServiceServer::new(projects::Projects(Arc::clone(desk))))
        .add_service(OrganizationServiceServer::new(organizations::Organizations(Arc::clone(desk))))
        .add_service(BreakGlassServiceServer::new(break_glass::Emergencies(Arc::clone(desk))))
        .add_service(GroupServiceServer::new(groups::Groups(Arc::clone(desk))))
        .add_service(RoleServiceServer::new(roles::OwnRoles(Arc::clone(desk))))
        .add_service(UserServiceServer::new(users::Users(Arc::clone(desk))))
        .add_service(ServiceAccountServiceServer::new(service_accounts::ServiceAccounts(Arc::clone(desk))))
        .add_service(ApiKeyServiceServer::new(api_keys::ApiKeys(Arc::clone(desk))))
        .add_service(AccessServiceServer::new(access::AccessRules(Arc::clone(desk))))
        .add_service(TokenServiceServer::new(tokens::TokenDesk(Arc::clone(desk))))
}
