//! The rules: pure functions of state and command. Nothing here knows time, storage or transport.

pub mod administrators;
pub mod binding;
pub mod key;
pub mod name;
pub mod project;
pub mod rejection;
pub mod service_account;
pub mod standing;
pub mod user;

pub use administrators::Administrators;
pub use binding::Binding;
pub use key::Key;
pub use name::{
    BindingName, KeyName, PROSE_CHARS_MAX, PrincipalName, ProjectName, REASON_CHARS_MAX, RoleName, ServiceAccountName,
    Slug, TITLE_CHARS_MAX, Text, UserName,
};
pub use project::Project;
pub use rejection::Rejection;
pub use service_account::ServiceAccount;
pub use standing::Standing;
pub use user::User;
