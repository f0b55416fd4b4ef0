//! The rules: pure functions of state and command. Nothing here knows time, storage or transport.

pub mod administrators;
pub mod binding;
pub mod break_glass;
pub mod condition;
pub mod device_login;
pub mod group;
pub mod guardrail;
pub mod identity;
pub mod identity_provider;
pub mod key;
pub mod login_name;
pub mod name;
pub mod oauth_client;
pub mod organization;
pub mod project;
pub mod quota;
pub mod rejection;
pub mod role;
pub mod service_account;
pub mod session;
pub mod signing_keys;
pub mod standing;
pub mod trust_rule;
pub mod user;

pub use administrators::Administrators;
pub use binding::Binding;
pub use break_glass::BreakGlass;
pub use condition::Condition;
pub use device_login::DeviceLogin;
pub use group::Group;
pub use guardrail::Guardrail;
pub use identity::Identity;
pub use identity_provider::IdentityProvider;
pub use key::Key;
pub use login_name::{IdentityProviderName, OauthClientName, SessionName, TrustRuleName};
pub use name::{
    ActivationName, BindingName, GroupName, GuardrailName, HolderName, KeyName, OrganizationName, PROSE_CHARS_MAX,
    PrincipalName, ProjectName, REASON_CHARS_MAX, RoleName, ServiceAccountName, Slug, TITLE_CHARS_MAX, TagText, Text,
    UserName,
};
pub use oauth_client::OauthClient;
pub use organization::Organization;
pub use project::Project;
pub use quota::Quota;
pub use rejection::Rejection;
pub use role::Role;
pub use service_account::ServiceAccount;
pub use session::Session;
pub use signing_keys::SigningKeys;
pub use standing::Standing;
pub use trust_rule::TrustRule;
pub use user::User;
