//! Who logs in by what, and who is logged in: tables of their own, beside the directory of who there is.

mod projection;
mod query;

pub use projection::Logins;
pub use query::{LoginQuery, Rule};
