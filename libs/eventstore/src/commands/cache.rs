use std::any::{Any, TypeId};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use cairn_kernel::{Position, Revision, StreamName};
use moka::sync::Cache as Moka;
use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use super::sent::{Fate, Sent};

/// How many locks the streams share. Two streams that share one wait for each other's decisions, never for the disk.
const STRIPES: usize = 512;
/// What a cached state weighs beside its contents.
const ENTRY_BYTES: usize = 256;

/// Which state of which stream. A stream may be folded by several aggregates.
pub(super) type Key = (TypeId, StreamName);

/// A state of any aggregate.
pub(super) type AnyState = Arc<dyn Any + Send + Sync>;

/// How far a state was folded, and what that rests on.
#[derive(Clone)]
pub(super) struct Place {
    /// Shared by everything that was built on one load from the store.
    pub(super) lineage: u64,
    pub(super) revision: Option<Revision>,
    /// The event with that revision.
    pub(super) last_id: Option<Uuid>,
    /// Its position; of an append on its way, that of the state before.
    pub(super) position: Position,
    /// The append that makes this state durable, unless it was read from the store.
    pub(super) sent: Option<Sent>,
    /// Bytes of the events folded in.
    pub(super) folded_bytes: usize,
}

/// A folded state and its place.
pub(super) struct Entry<A> {
    pub(super) place: Place,
    pub(super) state: Arc<A>,
}

struct Cached {
    place: Place,
    state: AnyState,
    weight: usize,
}

/// The folded states in memory, and the locks under which they change.
pub(super) struct Cache {
    entries: Moka<Key, Arc<Cached>>,
    stripes: Vec<Mutex<()>>,
    hasher: RandomState,
}

/// Leave to change the states of some streams. Held while deciding and queueing, never while waiting.
pub(super) struct Turn<'a> {
    cache: &'a Cache,
    _stripes: Vec<MutexGuard<'a, ()>>,
}

/// The key under which `A`'s state of a stream is cached.
pub(super) fn key<A: Any>(stream: &StreamName) -> Key {
    (TypeId::of::<A>(), stream.clone())
}

impl Cache {
    pub(super) fn new(bytes_max: u64) -> Self {
        let entries = Moka::builder()
            .max_capacity(bytes_max)
            .weigher(|_: &Key, cached: &Arc<Cached>| u32::try_from(cached.weight + ENTRY_BYTES).unwrap_or(u32::MAX))
            .build();
        Self { entries, stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(), hasher: RandomState::new() }
    }

    /// Takes a turn on all of these streams, in one order that everybody keeps.
    pub(super) fn turn<'a, 's>(&'a self, streams: impl IntoIterator<Item = &'s StreamName>) -> Turn<'a> {
        let mut stripes: Vec<usize> = streams.into_iter().map(|stream| self.stripe(stream)).collect();
        stripes.sort_unstable();
        stripes.dedup();
        Turn { cache: self, _stripes: stripes.into_iter().map(|at| self.stripes[at].lock()).collect() }
    }

    /// The newest state known here, unless the append it rests on is known to have failed.
    pub(super) fn get<A: Any + Send + Sync>(&self, stream: &StreamName) -> Option<Entry<A>> {
        let cached = self.entries.get(&key::<A>(stream))?;
        let mut place = cached.place.clone();
        match place.sent.as_ref().and_then(Sent::fate) {
            None => {}
            Some(Fate::Fell) => return None,
            Some(Fate::Durable(position)) => {
                place.position = position;
                place.sent = None;
            }
        }
        Some(Entry { place, state: Arc::clone(&cached.state).downcast().ok()? })
    }

    fn stripe(&self, stream: &StreamName) -> usize {
        self.hasher.hash_one(stream) as usize % STRIPES
    }
}

impl Turn<'_> {
    /// Whether nothing newer than `place` is known here.
    pub(super) fn is_newest(&self, key: &Key, place: &Place) -> bool {
        self.cache
            .entries
            .get(key)
            .is_none_or(|cached| (cached.place.revision, cached.place.last_id) == (place.revision, place.last_id))
    }

    pub(super) fn put(&self, key: Key, place: Place, state: AnyState, weight: Option<usize>) {
        let weight = weight.unwrap_or(place.folded_bytes);
        self.cache.entries.insert(key, Arc::new(Cached { place, state, weight }));
    }

    /// Forgets the state if it was built on the same load.
    pub(super) fn forget(&self, key: &Key, lineage: u64) {
        if self.cache.entries.get(key).is_some_and(|cached| cached.place.lineage == lineage) {
            self.cache.entries.invalidate(key);
        }
    }
}
