//! Who may do what, decided in this process from a live replica of auth's events.
//!
//! Deny by default. Knows principals, permissions, resource names, keys and tokens; knows no transport and asks nobody:
//! a decision is a pure function of the replica, and a replica that is too old refuses.

mod decision;
mod replica;

pub use decision::{Decision, Denial, Reach};
pub use replica::{Access, AuthenticationFault};
