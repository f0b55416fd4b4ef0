use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use cairn_kernel::{Clock, Expected, Position, Revision, StreamName};

use crate::EventStore;

mod cache;
mod execute;
mod fault;
mod fold;
mod ids;
mod load;
mod order;
mod request;
mod sent;
mod staged;
mod stored;
mod transact;
mod work;

pub use fault::CommandFault;
pub use order::{Order, RequestKey};
pub use stored::Stored;
pub use work::Work;

use cache::Cache;
use fold::Folds;

/// How often a command is decided again because somebody else wrote to its stream first.
pub const ATTEMPTS_MAX: u32 = 24;

/// A state and the revision it was folded to.
#[derive(Clone, Debug)]
pub struct Loaded<A> {
    pub state: Arc<A>,
    /// `None`: the stream has no events.
    pub revision: Option<Revision>,
}

/// A command carried out.
#[derive(Clone, Debug)]
pub struct Done<A> {
    /// The state after it (for a repeat: the state now).
    pub state: Arc<A>,
    pub revision: Option<Revision>,
    /// Wait for this position to read your own write.
    pub position: Position,
    /// Whether this very request had been carried out before.
    pub is_repeat: bool,
}

/// Carries out commands: load, decide, append, and decide again when a race is lost. Cheap to clone.
///
/// Many commands on one stream do not wait for each other's disk writes: the state after a decision is cached at once
/// and the next command decides on it while the append is still on its way. Two rules keep that honest:
///
/// - Nobody is answered from a state that is not durable. An answer that appends nothing (a rejection, a stale etag, a
///   command that changes nothing) waits until the state it rests on is durable, and was current after the call began.
/// - An append names the very event it follows ([`crate::Write::follows`]), so it fails with the append before it, and
///   is decided again from what the store really has.
#[derive(Clone)]
pub struct Commands {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    cache: Cache,
    folds: Folds,
    /// Names each load from the store, so that a failed append takes back only what was built on it.
    lineages: AtomicU64,
}

impl Commands {
    /// Over one store. `cache_bytes_max` bounds the folded states kept in memory.
    pub fn new(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>, cache_bytes_max: u64) -> Self {
        let (cache, folds) = (Cache::new(cache_bytes_max), Folds::default());
        let inner = Inner { store, clock, cache, folds, lineages: AtomicU64::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// The store commands append to.
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.inner.store
    }

    /// The clock that commands take their time from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    fn cache(&self) -> &Cache {
        &self.inner.cache
    }
}

/// Holds a caller's etag against what is there.
fn check_etag<R>(stream: &StreamName, expected: Expected, actual: Option<Revision>) -> Result<(), CommandFault<R>> {
    if expected.accepts(actual) {
        return Ok(());
    }
    Err(CommandFault::Stale { stream: stream.clone(), actual })
}
