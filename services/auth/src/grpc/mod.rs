//! The contract, carried out: parse, act, wait, answer.

mod access;
mod api_keys;
mod break_glass;
mod decisions;
mod groups;
mod guardrails;
mod identity_providers;
mod oauth;
mod oauth_clients;
mod organizations;
mod projects;
mod roles;
mod scim;
mod service_accounts;
mod sessions;
mod signing_keys;
mod source_addresses;
mod terms;
mod tokens;
mod trust_rules;
mod users;

pub use api_keys::digest;

use std::sync::Arc;

use cairn_contract::cairn::auth::v1::access_service_server::AccessServiceServer;
use cairn_contract::cairn::auth::v1::api_key_service_server::ApiKeyServiceServer;
use cairn_contract::cairn::auth::v1::break_glass_service_server::BreakGlassServiceServer;
use cairn_contract::cairn::auth::v1::group_service_server::GroupServiceServer;
use cairn_contract::cairn::auth::v1::guardrail_service_server::GuardrailServiceServer;
use cairn_contract::cairn::auth::v1::identity_provider_service_server::IdentityProviderServiceServer;
use cairn_contract::cairn::auth::v1::oauth_client_service_server::OauthClientServiceServer;
use cairn_contract::cairn::auth::v1::oauth_service_server::OauthServiceServer;
use cairn_contract::cairn::auth::v1::organization_service_server::OrganizationServiceServer;
use cairn_contract::cairn::auth::v1::project_service_server::ProjectServiceServer;
use cairn_contract::cairn::auth::v1::role_service_server::RoleServiceServer;
use cairn_contract::cairn::auth::v1::service_account_service_server::ServiceAccountServiceServer;
use cairn_contract::cairn::auth::v1::session_service_server::SessionServiceServer;
use cairn_contract::cairn::auth::v1::signing_key_service_server::SigningKeyServiceServer;
use cairn_contract::cairn::auth::v1::source_address_service_server::SourceAddressServiceServer;
use cairn_contract::cairn::auth::v1::token_service_server::TokenServiceServer;
use cairn_contract::cairn::auth::v1::trust_rule_service_server::TrustRuleServiceServer;
use cairn_contract::cairn::auth::v1::user_service_server::UserServiceServer;
use cairn_contract::cairn::scim::v1::scim_service_server::ScimServiceServer;
use tonic::service::Routes;

use crate::desk::Desk;

/// Every service of auth.
pub fn routes(desk: &Arc<Desk>) -> Routes {
    Routes::new(ProjectServiceServer::new(projects::Projects(Arc::clone(desk))))
        .add_service(OrganizationServiceServer::new(organizations::Organizations(Arc::clone(desk))))
        .add_service(BreakGlassServiceServer::new(break_glass::Emergencies(Arc::clone(desk))))
        .add_service(GroupServiceServer::new(groups::Groups(Arc::clone(desk))))
        .add_service(GuardrailServiceServer::new(guardrails::Guardrails(Arc::clone(desk))))
        .add_service(RoleServiceServer::new(roles::OwnRoles(Arc::clone(desk))))
        .add_service(UserServiceServer::new(users::Users(Arc::clone(desk))))
        .add_service(ServiceAccountServiceServer::new(service_accounts::ServiceAccounts(Arc::clone(desk))))
        .add_service(ApiKeyServiceServer::new(api_keys::ApiKeys(Arc::clone(desk))))
        .add_service(AccessServiceServer::new(access::AccessRules(Arc::clone(desk))))
        .add_service(TokenServiceServer::new(tokens::TokenDesk(Arc::clone(desk))))
        .add_service(OauthServiceServer::new(oauth::Oauth(Arc::clone(desk))))
        .add_service(ScimServiceServer::new(scim::Scim(Arc::clone(desk))))
        .add_service(SessionServiceServer::new(sessions::Sessions(Arc::clone(desk))))
        .add_service(SigningKeyServiceServer::new(signing_keys::SigningKeyDesk(Arc::clone(desk))))
        .add_service(SourceAddressServiceServer::new(source_addresses::SourceAddresses(Arc::clone(desk))))
        .add_service(TrustRuleServiceServer::new(trust_rules::TrustRules(Arc::clone(desk))))
        .add_service(OauthClientServiceServer::new(oauth_clients::OauthClients(Arc::clone(desk))))
        .add_service(IdentityProviderServiceServer::new(identity_providers::IdentityProviders(Arc::clone(desk))))
}
