//! Values and answers in the words of HashiCorp Vault's key-value engine, version 2.

mod body;
mod data;
mod reply;

pub use body::{Write, versions, write};
pub use data::{as_data, as_value};
pub use reply::{Answer, health, is_deleted, keys, lookup, metadata, mounts, version};
