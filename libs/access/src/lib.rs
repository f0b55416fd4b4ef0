//! Who may do what, decided in this process from a live replica of auth's events.
//!
//! Deny by default. Knows principals, permissions, resource names, keys and tokens; knows no transport and asks nobody:
//! a decision is a pure function of the replica ([`World`]), and a replica that is too old refuses.
//!
//! Conditions of bindings are about the request alone, and about tags of its project: what depends on the state of a
//! resource is decided by the service that owns it, with the same permission words.

mod access;
mod api_key;
mod authenticate;
mod change;
mod condition;
mod config;
mod decision;
mod fault;
mod freshness;
mod grant;
mod groups;
pub mod guardrail;
mod judgement;
mod key_use;
mod keyring;
mod open;
mod organization;
mod quota;
mod replica;
mod role;
mod seal;
mod signing_keys;
mod specialist;
mod table;
mod tenancy;
mod token;
mod world;

pub use access::Access;
pub use api_key::{ApiKey, KeyKind};
pub use change::{CATEGORIES, Change};
pub use condition::{Circumstances, Condition, Window};
pub use config::Config;
pub use decision::{Considered, Decision, Denial, Facts, Reach};
pub use fault::{AuthenticationFault, Behind};
pub use grant::Grant;
pub use groups::Membership;
pub use judgement::{Judgement, WorldFault};
pub use key_use::KeyUse;
pub use keyring::{Digest, Form, Keyring, KeyringFault, PublicKey};
pub use open::{BANNER, DEVELOPER, NotLoopback, require_loopback};
pub use organization::{Belonging, Organizations};
pub use quota::ProjectQuota;
pub use role::{Role, Roles};
pub use signing_keys::{JWKS_MAX_AGE, RotationFault, SigningKeys};
pub use tenancy::{DEFAULT_ORGANIZATION, SeparatedRoles};
pub use token::{ACCESS_TOKEN_LIFE_MAX, PRINCIPAL_TOKEN_LIFE};
pub use world::{Credential, KeyRecord, Standing, World};
