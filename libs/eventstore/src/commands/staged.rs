use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use cairn_kernel::{Expected, Revision, StreamName};

use super::cache::{AnyState, Entry, Key, Place, Turn, key};
use super::ids::Ids;
use super::sent::Sent;
use super::{Commands, Stored};
use crate::{NewEvent, Write};

/// What was decided for one stream and is not yet queued.
pub(super) struct Staged {
    pub(super) key: Key,
    /// Where the state was before any decision.
    pub(super) base: Place,
    pub(super) state: AnyState,
    weight: Option<usize>,
    events: Vec<(&'static str, Bytes)>,
}

/// Events as they are stored.
pub(super) fn encode<A: Stored>(events: &[A::Event]) -> Vec<(&'static str, Bytes)> {
    events.iter().map(A::encode).collect()
}

impl Staged {
    pub(super) fn new<A: Stored>(stream: &StreamName, base: Entry<A>) -> Self {
        Self { key: key::<A>(stream), base: base.place, state: base.state, weight: None, events: vec![] }
    }

    /// Adds decided events and the state after them.
    pub(super) fn push<A: Stored>(&mut self, state: Arc<A>, events: Vec<(&'static str, Bytes)>) {
        self.weight = state.weight();
        self.state = state;
        self.events.extend(events);
    }

    pub(super) fn stream(&self) -> &StreamName {
        &self.key.1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn write(&mut self, ids: &mut Ids<'_>, metadata: &Bytes) -> (Write, Place) {
        let events: Vec<NewEvent> = std::mem::take(&mut self.events)
            .into_iter()
            .map(|(kind, payload)| NewEvent {
                id: ids.next(),
                kind: Cow::Borrowed(kind),
                payload,
                metadata: metadata.clone(),
            })
            .collect();
        let base = &self.base;
        let count = events.len() as u64;
        let place = Place {
            lineage: base.lineage,
            revision: base.revision.map_or(count.checked_sub(1), |last| Some(last.0 + count)).map(Revision),
            last_id: events.last().map_or(base.last_id, |last| Some(last.id)),
            position: base.position,
            sent: None,
            folded_bytes: base.folded_bytes + events.iter().map(|event| event.payload.len()).sum::<usize>(),
        };
        let expected = Expected::after(base.revision);
        // A durable state is named by its revision alone; one on its way might never come to be.
        let follows = base.sent.as_ref().and(base.last_id);
        (Write { stream: self.stream().clone(), expected, follows, events }, place)
    }
}

impl Commands {
    /// Queues one append of everything staged and makes the states after it the newest. Gives their places.
    pub(super) fn send(
        &self,
        turn: &Turn<'_>,
        mut staged: Vec<Staged>,
        ids: &mut Ids<'_>,
        metadata: &Bytes,
    ) -> (Sent, Vec<Place>) {
        let (writes, mut places): (Vec<Write>, Vec<Place>) =
            staged.iter_mut().map(|staged| staged.write(ids, metadata)).unzip();
        let is_changed: Vec<bool> = writes.iter().map(|write| !write.events.is_empty()).collect();
        let sent = Sent::new(self.store().append(writes));
        for ((staged, place), is_changed) in staged.into_iter().zip(&mut places).zip(is_changed) {
            if is_changed {
                place.sent = Some(sent.clone());
                turn.put(staged.key, place.clone(), staged.state, staged.weight);
            }
        }
        (sent, places)
    }
}
