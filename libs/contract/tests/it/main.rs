//! The contract read back: what loads, what is refused, and what is generated from it.

#![allow(clippy::unwrap_used)] // All of this is tests, helpers included.

mod compat;
mod docs;
mod events;
mod inline;
mod load;
mod reasons;
mod resource;
mod rules;
