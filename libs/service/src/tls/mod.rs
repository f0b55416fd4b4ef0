//! Encrypted connections, from files that may change while a process runs.
//!
//! A certificate is replaced by replacing its files: the next connection gets the new one, and those that are open stay.
//! Files that cannot be used change nothing; health and the log say so. [`Links`] are the connections between processes,
//! which both sides prove who they are on.

mod check;
mod files;
mod identity;
mod links;
mod reloading;
mod sides;

pub use self::check::CertificateCheck;
pub use self::files::{Files, Problem};
pub use self::links::{Config, Link, Links, PeerRoles};
pub use self::reloading::{Configured, Reloading};
pub use self::sides::{Client, Server};
