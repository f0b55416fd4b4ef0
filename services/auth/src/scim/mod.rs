//! SCIM 2.0 as far as it knows nothing of who asks: schemas, filters, operations on resources, and how answers look.

mod asked;
mod base;
mod discovery;
mod fault;
mod filter;
mod parse;
mod patch;
mod person;
mod reply;
mod schema;
mod select;
mod shape;
#[cfg(test)]
mod spec;
mod team;

pub use asked::{Asked, Words, body};
pub use base::Base;
pub use discovery::{config, resource_types, schemas};
pub use fault::Fault;
pub use filter::Filter;
pub use patch::patched;
pub use person::{Known, told as told_person};
pub use reply::{Answer, seen};
pub use schema::{PERSON, TEAM};
pub use select::Selection;
pub use shape::resource;
pub use team::{Team, is_seen, told as told_team};
