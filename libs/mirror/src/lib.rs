//! Read models in PostgreSQL: exact copies of the views that services answer from, for people and their tools.
//!
//! Services go on answering from their own files. A copy follows them: whatever changed since its checkpoint is written as it
//! is now, together with the checkpoint, in one transaction. Of several processes one writes, as long as its turn is renewed;
//! whoever wrote before finds that the turn is another's. A copy that cannot go on from where it is, is made anew beside what
//! readers see, and takes its place when it is whole.

mod copy;
mod escape;
mod fill;
mod follow;
mod plan;
mod readable;
mod schema;
mod session;
mod state;
mod table;

/// Whether a URL is one of a database; what is wrong with it is said without it, because a password is in it.
pub fn check_url(url: &str) -> Result<(), String> {
    cairn_postgres::Address::parse(url).map(drop)
}

pub use escape::{escaped, unescaped};
pub use follow::{Config, Limits, Mirror};
pub use state::MirrorState;
