use cairn_kernel::{Code, Description, Fault, Name, Time};

use super::{
    ActivationName, BindingName, GroupName, GuardrailName, HolderName, IdentityProviderName, KeyName, OauthClientName,
    OrganizationName, ProjectName, RoleName, ServiceAccountName, SessionName, TrustRuleName, UserName, break_glass,
};

/// Why a command was refused: always the caller's to fix.
///
/// One list for all of auth rather than one per aggregate, because giving a role or disabling a user is decided over
/// several aggregates at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no project {0}")]
    ProjectNotFound(ProjectName),
    #[error("{0} is taken, now or by a deleted project")]
    ProjectExists(ProjectName),
    #[error("{0} is deleted; restore it first")]
    ProjectDeleted(ProjectName),
    #[error("there is no user {0}")]
    UserNotFound(UserName),
    #[error("{0} is deleted, for ever")]
    UserDeleted(UserName),
    #[error("{0} is not deleted")]
    UserNotDeleted(UserName),
    #[error("another user has this mail address")]
    EmailTaken,
    #[error("there is no service account {0}")]
    ServiceAccountNotFound(ServiceAccountName),
    #[error("{0} is taken, now or by a deleted service account")]
    ServiceAccountExists(ServiceAccountName),
    #[error("{0} is deleted, for ever")]
    ServiceAccountDeleted(ServiceAccountName),
    #[error("there is no API key {0}")]
    KeyNotFound(KeyName),
    #[error("{0} is revoked, for ever")]
    KeyRevoked(KeyName),
    #[error("{field} is {given}: it must lie after {after} and no later than {until}")]
    ExpiryOutOfRange { field: &'static str, given: Time, after: Time, until: Time },
    #[error("what is asked for reaches further than the credential that asks for it: {excess}")]
    CredentialTooWide { excess: String },
    #[error("there is no binding {0}")]
    BindingNotFound(BindingName),
    #[error("there is no role {0}")]
    RoleUnknown(RoleName),
    #[error("{role} holds {permission}, which the caller does not hold on {resource}")]
    GrantTooWide { role: RoleName, permission: String, resource: Name },
    #[error("the deployment would be left without an administrator")]
    LastAdministrator,
    #[error("{0} is disabled, deleted or unknown")]
    PrincipalDisabled(HolderName),
    #[error("no refusal {0} is on record (or it concerns a resource that the caller does not manage)")]
    DecisionNotFound(String),
    #[error("{principal} has {limit} {what}, as many as there may be")]
    TooMany { principal: HolderName, what: &'static str, limit: usize },
    #[error("there is no identity provider {0}")]
    IdentityProviderNotFound(IdentityProviderName),
    #[error("{0} is taken, now or by a deleted identity provider")]
    IdentityProviderExists(IdentityProviderName),
    #[error("{0} is deleted, for ever")]
    IdentityProviderDeleted(IdentityProviderName),
    #[error("there is no session {0}")]
    SessionNotFound(SessionName),
    #[error("{0} was started before")]
    SessionStarted(SessionName),
    #[error("{0} has ended")]
    SessionEnded(SessionName),
    #[error("there is no client {0}")]
    OauthClientNotFound(OauthClientName),
    #[error("{0} is taken, now or by a deleted client")]
    OauthClientExists(OauthClientName),
    #[error("there is no trust rule {0}")]
    TrustRuleNotFound(TrustRuleName),
    #[error("this code has been decided on, or its time is over")]
    DeviceLoginDecided,
    #[error("there is no organization {0}")]
    OrganizationNotFound(OrganizationName),
    #[error("{0} is taken, now or by a deleted organization")]
    OrganizationExists(OrganizationName),
    #[error("{0} is deleted; restore it first")]
    OrganizationDeleted(OrganizationName),
    #[error("{organization} has open projects: {project}")]
    OrganizationNotEmpty { organization: OrganizationName, project: Name },
    #[error("{0} stays: what belongs to no other organization belongs to it")]
    OrganizationNeeded(OrganizationName),
    #[error("{what} does not belong to {organization}")]
    OrganizationMismatch { what: String, organization: String },
    #[error("there is no group {0}")]
    GroupNotFound(GroupName),
    #[error("{0} is taken, now or by a deleted group")]
    GroupExists(GroupName),
    #[error("{0} is deleted, for ever")]
    GroupDeleted(GroupName),
    #[error("{group} cannot be in {parent}: groups nest once")]
    GroupNestedTooDeep { group: HolderName, parent: GroupName },
    #[error("{holder} has {limit} {what}, as many as there may be")]
    Full { holder: String, what: &'static str, limit: usize },
    #[error("{0} is taken, now or by a deleted role")]
    RoleExists(RoleName),
    #[error("there is no role {0}")]
    RoleNotFound(RoleName),
    #[error("{0} is deleted, for ever")]
    RoleDeleted(RoleName),
    #[error("{role} is in use: {count} bindings, {binding} among them")]
    RoleInUse { role: RoleName, binding: String, count: usize },
    #[error("there is no guardrail {0}")]
    GuardrailNotFound(GuardrailName),
    #[error("{0} is taken, now or by a deleted guardrail")]
    GuardrailExists(GuardrailName),
    #[error("{0} is deleted, for ever")]
    GuardrailDeleted(GuardrailName),
    #[error("it cannot be a guardrail: {}", .0.join("; "))]
    GuardrailInvalid(Vec<String>),
    #[error("there is no break-glass activation {0}")]
    BreakGlassNotFound(ActivationName),
    #[error("{activation} is {state}")]
    BreakGlassState { activation: String, state: break_glass::State },
    #[error("{activation} is taken alone from {activate_time} on, or given at once by a second person")]
    BreakGlassTooEarly { activation: ActivationName, activate_time: Time },
    #[error("{activation} is {what}, who must be a person")]
    BreakGlassPerson { activation: ActivationName, what: &'static str },
    #[error(
        "{principal} would hold {role} and {other_role} on {resource}, which are to be apart: {binding} gives the other"
    )]
    DutiesSeparated { principal: String, role: String, other_role: String, resource: Name, binding: String },
}

impl Fault for Rejection {
    const DOMAIN: &'static str = "auth.cairn";

    fn describe(&self) -> Description {
        use Code::{AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted};
        let with = |key: &'static str, value: &dyn ToString| vec![(key, value.to_string())];
        match self {
            Self::ProjectNotFound(name) => (NotFound, "PROJECT_NOT_FOUND", with("project", name)),
            Self::ProjectExists(name) => (AlreadyExists, "PROJECT_EXISTS", with("project", name)),
            Self::ProjectDeleted(name) => (FailedPrecondition, "PROJECT_DELETED", with("project", name)),
            Self::UserNotFound(name) => (NotFound, "USER_NOT_FOUND", with("user", name)),
            Self::UserDeleted(name) => (FailedPrecondition, "USER_DELETED", with("user", name)),
            Self::UserNotDeleted(name) => (FailedPrecondition, "USER_NOT_DELETED", with("user", name)),
            Self::EmailTaken => (AlreadyExists, "EMAIL_TAKEN", vec![]),
            Self::ServiceAccountNotFound(name) => {
                (NotFound, "SERVICE_ACCOUNT_NOT_FOUND", with("service_account", name))
            }
            Self::ServiceAccountExists(name) => {
                (AlreadyExists, "SERVICE_ACCOUNT_EXISTS", with("service_account", name))
            }
            Self::ServiceAccountDeleted(name) => {
                (FailedPrecondition, "SERVICE_ACCOUNT_DELETED", with("service_account", name))
            }
            Self::KeyNotFound(name) => (NotFound, "API_KEY_NOT_FOUND", with("api_key", name)),
            Self::KeyRevoked(name) => (FailedPrecondition, "API_KEY_REVOKED", with("api_key", name)),
            Self::ExpiryOutOfRange { field, given, after, until } => {
                let mut values = with("field", field);
                values.extend([
                    ("given", given.to_string()),
                    ("after", after.to_string()),
                    ("until", until.to_string()),
                ]);
                (InvalidArgument, "EXPIRY_OUT_OF_RANGE", values)
            }
            Self::CredentialTooWide { excess } => (PermissionDenied, "CREDENTIAL_TOO_WIDE", with("excess", excess)),
            Self::BindingNotFound(name) => (NotFound, "BINDING_NOT_FOUND", with("binding", name)),
            Self::RoleUnknown(role) => (InvalidArgument, "ROLE_UNKNOWN", with("role", role)),
            Self::GrantTooWide { role, permission, resource } => {
                let mut values = with("role", role);
                values.extend([("permission", permission.clone()), ("resource", resource.to_string())]);
                (PermissionDenied, "GRANT_TOO_WIDE", values)
            }
            Self::LastAdministrator => (FailedPrecondition, "LAST_ADMINISTRATOR", vec![]),
            Self::PrincipalDisabled(principal) => {
                (FailedPrecondition, "PRINCIPAL_DISABLED", with("principal", principal))
            }
            Self::DecisionNotFound(id) => (NotFound, "DECISION_NOT_FOUND", with("decision", id)),
            Self::OrganizationNotFound(name) => (NotFound, "ORGANIZATION_NOT_FOUND", with("organization", name)),
            Self::OrganizationExists(name) => (AlreadyExists, "ORGANIZATION_EXISTS", with("organization", name)),
            Self::OrganizationDeleted(name) => (FailedPrecondition, "ORGANIZATION_DELETED", with("organization", name)),
            Self::OrganizationNotEmpty { organization, project } => {
                let values = vec![("organization", organization.to_string()), ("project", project.to_string())];
                (FailedPrecondition, "ORGANIZATION_NOT_EMPTY", values)
            }
            Self::OrganizationNeeded(name) => (FailedPrecondition, "ORGANIZATION_NEEDED", with("organization", name)),
            Self::OrganizationMismatch { what, organization } => {
                let values = vec![("what", what.clone()), ("organization", organization.clone())];
                (FailedPrecondition, "ORGANIZATION_MISMATCH", values)
            }
            Self::GroupNotFound(name) => (NotFound, "GROUP_NOT_FOUND", with("group", name)),
            Self::GroupExists(name) => (AlreadyExists, "GROUP_EXISTS", with("group", name)),
            Self::GroupDeleted(name) => (FailedPrecondition, "GROUP_DELETED", with("group", name)),
            Self::GroupNestedTooDeep { group, parent } => {
                let values = vec![("group", group.to_string()), ("parent", parent.to_string())];
                (FailedPrecondition, "GROUP_NESTED_TOO_DEEP", values)
            }
            Self::Full { holder, what, limit } => {
                let values =
                    vec![("holder", holder.clone()), ("what", (*what).to_owned()), ("limit", limit.to_string())];
                (ResourceExhausted, "ORGANIZATION_LIMIT_REACHED", values)
            }
            Self::RoleExists(name) => (AlreadyExists, "ROLE_EXISTS", with("role", name)),
            Self::RoleNotFound(name) => (NotFound, "ROLE_NOT_FOUND", with("role", name)),
            Self::RoleDeleted(name) => (FailedPrecondition, "ROLE_DELETED", with("role", name)),
            Self::RoleInUse { role, binding, count } => {
                let values =
                    vec![("role", role.to_string()), ("binding", binding.clone()), ("count", count.to_string())];
                (FailedPrecondition, "ROLE_IN_USE", values)
            }
            Self::GuardrailNotFound(name) => (NotFound, "GUARDRAIL_NOT_FOUND", with("guardrail", name)),
            Self::GuardrailExists(name) => (AlreadyExists, "GUARDRAIL_EXISTS", with("guardrail", name)),
            Self::GuardrailDeleted(name) => (FailedPrecondition, "GUARDRAIL_DELETED", with("guardrail", name)),
            Self::GuardrailInvalid(problems) => {
                (InvalidArgument, "GUARDRAIL_INVALID", with("problems", &problems.join("; ")))
            }
            Self::BreakGlassNotFound(name) => (NotFound, "BREAK_GLASS_NOT_FOUND", with("activation", name)),
            Self::BreakGlassState { activation, state } => {
                let values = vec![("activation", activation.clone()), ("state", state.to_string())];
                (FailedPrecondition, "BREAK_GLASS_STATE", values)
            }
            Self::BreakGlassTooEarly { activation, activate_time } => {
                let values = vec![("activation", activation.to_string()), ("activate_time", activate_time.to_string())];
                (FailedPrecondition, "BREAK_GLASS_TOO_EARLY", values)
            }
            Self::BreakGlassPerson { activation, what } => {
                let values = vec![("activation", activation.to_string()), ("what", (*what).to_owned())];
                (PermissionDenied, "BREAK_GLASS_PERSON", values)
            }
            Self::DutiesSeparated { principal, role, other_role, resource, binding } => {
                let values = vec![
                    ("principal", principal.clone()),
                    ("role", role.clone()),
                    ("other_role", other_role.clone()),
                    ("resource", resource.to_string()),
                    ("binding", binding.clone()),
                ];
                (FailedPrecondition, "DUTIES_SEPARATED", values)
            }
            Self::TooMany { principal, what, limit } => {
                let mut values = with("principal", principal);
                values.extend([("what", (*what).to_owned()), ("limit", limit.to_string())]);
                (ResourceExhausted, "PRINCIPAL_LIMIT_REACHED", values)
            }
            Self::IdentityProviderNotFound(name) => {
                (NotFound, "IDENTITY_PROVIDER_NOT_FOUND", with("identity_provider", name))
            }
            Self::IdentityProviderExists(name) => {
                (AlreadyExists, "IDENTITY_PROVIDER_EXISTS", with("identity_provider", name))
            }
            Self::IdentityProviderDeleted(name) => {
                (FailedPrecondition, "IDENTITY_PROVIDER_DELETED", with("identity_provider", name))
            }
            Self::SessionNotFound(name) => (NotFound, "SESSION_NOT_FOUND", with("session", name)),
            Self::SessionStarted(name) | Self::SessionEnded(name) => {
                (Code::Unauthenticated, "SESSION_ENDED", with("session", name))
            }
            Self::OauthClientNotFound(name) => (NotFound, "OAUTH_CLIENT_NOT_FOUND", with("oauth_client", name)),
            Self::OauthClientExists(name) => (AlreadyExists, "OAUTH_CLIENT_EXISTS", with("oauth_client", name)),
            Self::TrustRuleNotFound(name) => (NotFound, "TRUST_RULE_NOT_FOUND", with("trust_rule", name)),
            Self::DeviceLoginDecided => (FailedPrecondition, "DEVICE_LOGIN_DECIDED", vec![]),
        }
    }
}
