//! Cairn as a relying party: people log in by an identity provider of theirs (OpenID Connect).
//!
//! What a provider sends is a stranger's word until it is checked: how it may be signed is fixed by its keys, whom it is
//! for and which login it belongs to by what was asked.

mod claims;
mod directory;
mod exchange;
mod fault;
mod keys;
mod login;
mod provision;
mod roles;
mod verify;

pub use claims::find as find_claim;
pub use directory::{Directory, require_secure};
pub use fault::LoginFault;
pub use login::{Begun, LOGIN_LIFE, Returned, acting, begin, finish, logged_out};
pub use verify::{TokenFault, Wanted, signed};
