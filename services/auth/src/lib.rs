//! Organizations, projects, users, groups, service accounts, API keys and roles: who is who, and who may do what.
//!
//! Announces what others decide by (`libs/access` follows it) and decides nothing for them. What is known about a person
//! is kept beside the log, in a table that can forget; events hold opaque ids.

mod bindings;
mod bootstrap;
mod config;
mod decided;
mod desk;
mod duties;
mod federation;
mod giving;
mod grpc;
mod issuer;
mod key_use;
pub mod login;
mod logins;
mod members;
mod model;
mod mount;
mod oidc;
mod people;
mod projection;
mod public;
mod query;
mod reactor;
mod scim;
mod secrets;
mod sessions;
mod signing;
mod sources;
mod stored;

pub use bootstrap::{Bootstrap, BootstrapFault, FirstKey, bootstrap};
pub use config::Config;
pub use issuer::SESSION_COOKIE;
pub use key_use::KeyUses;
pub use mount::{MountFault, mount};
pub use public::Public;
