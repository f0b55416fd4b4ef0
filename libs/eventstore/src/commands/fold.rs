use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cairn_kernel::{Position, Revision, StreamName};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

use super::cache::{AnyState, Entry, Key, Place, key};
use super::{CommandFault, Commands, Stored};
use crate::{DecodeFault, Direction, ReadFault};

/// Events read at a time while folding a stream.
pub(super) const PAGE_EVENTS: usize = 512;

/// Why a stream could not be folded.
#[derive(Clone)]
pub(super) enum FoldFault {
    Read(ReadFault),
    Decode(DecodeFault),
}

type Fold = BoxFuture<'static, Result<(Place, AnyState), FoldFault>>;
type Folding = Shared<Fold>;

/// The folds under way, so that many who wait for one cold stream have it read once.
///
/// Whoever joins may be given a state that was current before it asked. That is no different from a state in the cache:
/// an append that builds on it fails, and an answer is held against the store first.
///
/// INVARIANT: what nobody waits for is not here. Held weakly, because a fold holds the commands it belongs to.
#[derive(Default)]
pub(super) struct Folds {
    under_way: Mutex<HashMap<Key, WeakShared<Fold>>>,
}

/// Somebody who waits for a fold. The last one to give up takes it out.
struct Waiting<'a> {
    folds: &'a Folds,
    key: Key,
    folding: Option<Folding>,
}

impl Folds {
    fn join(&self, key: Key, begin: impl FnOnce() -> Fold) -> Waiting<'_> {
        let mut under_way = self.under_way.lock();
        let joined = under_way.get(&key).and_then(WeakShared::upgrade);
        let folding = joined.unwrap_or_else(|| {
            let folding = begin().shared();
            if let Some(weak) = folding.downgrade() {
                under_way.insert(key.clone(), weak);
            }
            folding
        });
        Waiting { folds: self, key, folding: Some(folding) }
    }

    /// Takes out a fold that is done: who asks from now on wants what is there now.
    fn done(&self, key: &Key) {
        self.under_way.lock().remove(key);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.folding = None;
        let mut under_way = self.folds.under_way.lock();
        if under_way.get(&self.key).is_some_and(|weak| weak.upgrade().is_none()) {
            under_way.remove(&self.key);
        }
    }
}

impl Commands {
    /// Reads a stream from the store: snapshot and tail. Shared by all who ask at the same time.
    pub(super) async fn fold<A: Stored, R>(&self, stream: &StreamName) -> Result<Entry<A>, CommandFault<R>> {
        let key = key::<A>(stream);
        let waiting = self.inner.folds.join(key.clone(), || {
            let commands = self.clone();
            async move {
                let folded = commands.fold_alone::<A>(&key.1).await;
                commands.inner.folds.done(&key);
                folded
            }
            .boxed()
        });
        let folding = waiting.folding.clone().expect("it is given up when dropped");
        let (place, state) = folding.await.map_err(|fault| match fault {
            FoldFault::Read(fault) => CommandFault::Read(fault),
            FoldFault::Decode(fault) => CommandFault::Decode(fault),
        })?;
        Ok(Entry { place, state: state.downcast().expect("the key names the type") })
    }

    async fn fold_alone<A: Stored>(&self, stream: &StreamName) -> Result<(Place, AnyState), FoldFault> {
        let (mut state, snapshot_at) = self.thawed::<A>(stream).await.map_err(FoldFault::Read)?;
        let mut place = Place {
            lineage: self.inner.lineages.fetch_add(1, Ordering::Relaxed),
            revision: None,
            last_id: None,
            position: Position::START,
            sent: None,
            folded_bytes: 0,
        };
        // The snapshot's own event is read too: it tells position and id, and that the log still has it.
        let mut from = snapshot_at.unwrap_or_default();
        loop {
            let page =
                self.store().read(stream, from, Direction::Forwards, PAGE_EVENTS).await.map_err(FoldFault::Read)?;
            for event in &page {
                if snapshot_at != Some(event.revision) {
                    state.evolve(&A::decode(&event.kind, &event.payload).map_err(FoldFault::Decode)?);
                }
                place.folded_bytes += event.payload.len();
                (place.revision, place.last_id) = (Some(event.revision), Some(event.id));
                place.position = event.position;
                from = event.revision.next();
            }
            if page.len() < PAGE_EVENTS {
                break;
            }
        }
        if snapshot_at.is_some() && place.revision.is_none() {
            let damage = format!("the snapshot of {stream} lies beyond its last event");
            return Err(FoldFault::Read(ReadFault::Damaged(damage)));
        }
        self.keep_snapshot(stream, &state, snapshot_at, place.revision).await;
        let weight = state.weight();
        let state: AnyState = Arc::new(state);
        let turn = self.cache().turn([stream]);
        if self.cache().get::<A>(stream).is_none() {
            turn.put(key::<A>(stream), place.clone(), Arc::clone(&state), weight);
        }
        Ok((place, state))
    }

    async fn thawed<A: Stored>(&self, stream: &StreamName) -> Result<(A, Option<Revision>), ReadFault> {
        let Some(schema) = A::SNAPSHOT else { return Ok((A::default(), None)) };
        let Some(snapshot) = self.store().snapshot(stream).await? else { return Ok((A::default(), None)) };
        let state = (snapshot.schema == schema).then(|| A::thaw(&snapshot.state)).flatten();
        Ok(state.map_or_else(|| (A::default(), None), |state| (state, Some(snapshot.revision))))
    }
}
