use cairn_kernel::{Code, Description, Fault, Name, Time};

use super::{
    BindingName, IdentityProviderName, KeyName, OauthClientName, PrincipalName, ProjectName, RoleName, ServiceAccountName,
    SessionName, UserName,
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
    PrincipalDisabled(PrincipalName),
    #[error("no refusal {0} is on record (or it concerns a resource that the caller does not manage)")]
    DecisionNotFound(String),
    #[error("{principal} has {limit} {what}, as many as there may be")]
    TooMany { principal: PrincipalName, what: &'static str, limit: usize },
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
    #[error("this code has been decided on, or its time is over")]
    DeviceLoginDecided,
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
            Self::DeviceLoginDecided => (FailedPrecondition, "DEVICE_LOGIN_DECIDED", vec![]),
        }
    }
}
