//! The rules. No clock, no IO, no async.

mod name;
mod reference;
mod rejection;
mod schema;
pub mod scope;
pub mod secret;
mod text;
mod value;

pub use name::{EnvironmentId, EnvironmentName, Key, ProjectName, SchemaName, SecretId, SecretName, VersionName};
pub use reference::Reference;
pub use rejection::Rejection;
pub use scope::Scope;
pub use secret::Secret;
pub use text::Text;
pub use value::Json;
