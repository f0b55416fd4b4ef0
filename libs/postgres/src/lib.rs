//! The way to a PostgreSQL: what its URL says, TLS as its words mean it, connections that are made anew when they end, and
//! a pool of them for statements that stand alone.
//!
//! Nothing outlives a transaction on a connection, so a pooler in transaction mode may stand between. It does not know what
//! is kept there.

mod address;
mod dial;
mod fault;
mod pool;
mod tls;

pub use address::Address;
pub use dial::{Dialer, Link};
pub use fault::{DialFault, is_lost, said};
pub use pool::{Parameters, Pool, PoolFault, Size};
