//! The rules: pure functions of state and command. Nothing here knows time, storage or transport.

pub mod administrators;
pub mod binding;
pub mod break_glass;
pub mod condition;
pub mod group;
pub mod key;
pub mod name;
pub mod organization;
pub mod project;
pub mod rejection;
pub mod role;
pub mod service_account;
pub mod standing;
pub mod user;

pub use administrators::Administrators;
pub use binding::Binding;
pub use break_glass::BreakGlass;
pub use condition::Condition;
pub use group::Group;
pub use key::Key;
pub use name::{
    ActivationName, BindingName, GroupName, HolderName, KeyName, OrganizationName, PROSE_CHARS_MAX, PrincipalName,
    ProjectName, REASON_CHARS_MAX, RoleName, ServiceAccountName, Slug, TITLE_CHARS_MAX, TagText, Text, UserName,
};
pub use organization::Organization;
pub use project::Project;
pub use rejection::Rejection;
pub use role::Role;
pub use service_account::ServiceAccount;
pub use standing::Standing;
pub use user::User;
