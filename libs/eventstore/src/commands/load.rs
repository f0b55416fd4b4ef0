use std::sync::Arc;
use std::sync::atomic::Ordering;

use cairn_kernel::{Position, Revision, StreamName};

use super::cache::{Entry, Key, Place, key};
use super::sent::Fate;
use super::{ATTEMPTS_MAX, CommandFault, Commands, Loaded, Stored};
use crate::{Direction, ReadFault, Snapshot};

/// Events read at a time while folding a stream.
const PAGE_EVENTS: usize = 512;
/// A snapshot is kept every so many events.
const SNAPSHOT_EVENTS: u64 = 128;

impl Commands {
    /// The current state of a stream.
    pub async fn load<A: Stored>(&self, stream: &StreamName) -> Result<Loaded<A>, CommandFault<A::Rejection>> {
        let Entry { place, state } = self.settled::<A, _>(stream).await?;
        Ok(Loaded { state, revision: place.revision })
    }

    /// A durable state that was current after this was called.
    pub(super) async fn settled<A: Stored, R>(&self, stream: &StreamName) -> Result<Entry<A>, CommandFault<R>> {
        let since = self.head();
        for _ in 0..ATTEMPTS_MAX {
            let entry = self.newest::<A, R>(stream).await?;
            if let Some(position) = self.stands(&key::<A>(stream), &entry.place, since).await? {
                return Ok(Entry { place: Place { position, sent: None, ..entry.place }, state: entry.state });
            }
        }
        Err(CommandFault::Contended { stream: stream.clone(), attempts: ATTEMPTS_MAX })
    }

    /// The newest state known here, durable or on its way; read from the store if none is.
    pub(super) async fn newest<A: Stored, R>(&self, stream: &StreamName) -> Result<Entry<A>, CommandFault<R>> {
        match self.cache().get(stream) {
            Some(entry) => Ok(entry),
            None => self.fold(stream).await,
        }
    }

    /// Waits until a state is durable and makes sure that it was current at some moment after `since`: the position
    /// that reads it. `None`: it never was, and is forgotten here.
    pub(super) async fn stands<R>(
        &self,
        key: &Key,
        place: &Place,
        since: Position,
    ) -> Result<Option<Position>, CommandFault<R>> {
        let position = match &place.sent {
            None => place.position,
            Some(sent) => match sent.settled().await {
                Fate::Durable(position) => position,
                Fate::Fell => {
                    self.forget(key, place.lineage);
                    return Ok(None);
                }
            },
        };
        if position == self.head() {
            return Ok(Some(position));
        }
        let next = place.revision.map_or(Revision(0), Revision::next);
        let later = self.store().read(&key.1, next, Direction::Forwards, 1).await?;
        if later.first().is_none_or(|event| event.position > since) {
            return Ok(Some(position));
        }
        self.forget(key, place.lineage);
        Ok(None)
    }

    /// Forgets a state that was built on a load which no longer holds.
    pub(super) fn forget(&self, key: &Key, lineage: u64) {
        self.cache().turn([&key.1]).forget(key, lineage);
    }

    pub(super) fn head(&self) -> Position {
        *self.store().head().borrow()
    }

    /// Reads a stream from the store: snapshot and tail.
    pub(super) async fn fold<A: Stored, R>(&self, stream: &StreamName) -> Result<Entry<A>, CommandFault<R>> {
        let (mut state, snapshot_at) = self.thawed::<A>(stream).await?;
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
            let page = self.store().read(stream, from, Direction::Forwards, PAGE_EVENTS).await?;
            for event in &page {
                if snapshot_at != Some(event.revision) {
                    state.evolve(&A::decode(&event.kind, &event.payload)?);
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
            return Err(ReadFault::Damaged(damage).into());
        }
        self.keep_snapshot(stream, &state, snapshot_at, place.revision).await;
        let state = Arc::new(state);
        let turn = self.cache().turn([stream]);
        if self.cache().get::<A>(stream).is_none() {
            turn.put(key::<A>(stream), place.clone(), Arc::clone(&state) as _, state.weight());
        }
        Ok(Entry { place, state })
    }

    async fn thawed<A: Stored>(&self, stream: &StreamName) -> Result<(A, Option<Revision>), ReadFault> {
        let Some(schema) = A::SNAPSHOT else { return Ok((A::default(), None)) };
        let Some(snapshot) = self.store().snapshot(stream).await? else { return Ok((A::default(), None)) };
        let state = (snapshot.schema == schema).then(|| A::thaw(&snapshot.state)).flatten();
        Ok(state.map_or_else(|| (A::default(), None), |state| (state, Some(snapshot.revision))))
    }

    /// Keeps a snapshot of a durable state if enough happened since the last.
    pub(super) async fn keep_snapshot<A: Stored>(
        &self,
        stream: &StreamName,
        state: &A,
        before: Option<Revision>,
        now: Option<Revision>,
    ) {
        let (Some(schema), Some(revision)) = (A::SNAPSHOT, now) else { return };
        let count = |revision: Option<Revision>| revision.map_or(0, |revision| revision.0 + 1) / SNAPSHOT_EVENTS;
        if count(now) > count(before) {
            let snapshot = Snapshot { revision, schema: schema.to_owned(), state: state.freeze() };
            self.store().keep_snapshot(stream, snapshot).await;
        }
    }
}
