//! A witness (C2SP tlog-witness): remembers the newest checkpoint of each log that it was told of, and vouches only for
//! one that contains it. A program of its own, to be run by somebody else than the log.

mod key;
mod server;
mod state;

pub use key::open_key;
pub use server::serve;
pub use state::Witness;
