use std::sync::Arc;

use cairn_kernel::{Position, Revision, StreamName};

use super::cache::{Entry, Key, Place, key};
use super::fold::PAGE_EVENTS;
use super::sent::Fate;
use super::{ATTEMPTS_MAX, CommandFault, Commands, Loaded, Stored};
use crate::{Direction, Snapshot};

/// A snapshot is kept every so many events.
const SNAPSHOT_EVENTS: u64 = 128;

impl Commands {
    /// The current state of a stream.
    pub async fn load<A: Stored>(&self, stream: &StreamName) -> Result<Loaded<A>, CommandFault<A::Rejection>> {
        let Entry { place, state } = self.settled::<A, _>(stream).await?;
        Ok(Loaded { state, revision: place.revision })
    }

    /// A state as it was at a position of the log. Read from the stream's start each time: the past is asked for seldom.
    pub async fn load_at<A: Stored>(
        &self,
        stream: &StreamName,
        at: Position,
    ) -> Result<Loaded<A>, CommandFault<A::Rejection>> {
        let (mut state, mut revision) = (A::default(), None);
        loop {
            let from = revision.map_or_else(Revision::default, Revision::next);
            let page = self.store().read(stream, from, Direction::Forwards, PAGE_EVENTS).await?;
            let is_last = page.len() < PAGE_EVENTS;
            for event in page {
                if event.position > at {
                    return Ok(Loaded { state: Arc::new(state), revision });
                }
                state.evolve(&A::decode(&event.kind, &event.payload)?);
                revision = Some(event.revision);
            }
            if is_last {
                return Ok(Loaded { state: Arc::new(state), revision });
            }
        }
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
