use std::collections::HashMap;
use std::sync::Arc;

use cairn_kernel::{Position, Revision, StreamName, Time};
use uuid::Uuid;

use crate::{AppendFault, Appended, Direction, Filter, Page, Recorded, Retention, Snapshot, Write};

/// A log as it stands in memory: the plainest thing that keeps the promises, and so what backends are read against that
/// keep their events elsewhere.
///
/// Grows without bound: whoever holds one says where it ends.
#[derive(Clone, Default)]
pub struct Log {
    /// In order of position; position `n` is at index `n - 1`.
    events: Vec<Arc<Recorded>>,
    /// Indexes into `events`, in order of revision.
    streams: HashMap<StreamName, Vec<usize>>,
    /// Every event with this id; a stream holds it at most once.
    ids: HashMap<Uuid, Vec<usize>>,
    kinds: HashMap<String, Arc<str>>,
    retentions: HashMap<StreamName, Retention>,
    snapshots: HashMap<StreamName, Snapshot>,
}

impl Log {
    /// Position of the last event.
    pub fn head(&self) -> Position {
        Position(self.events.len() as u64)
    }

    /// Appends to several streams at once, or to none of them.
    pub fn append(&mut self, writes: Vec<Write>, now: Time) -> Result<Appended, AppendFault> {
        if let Some(repeat) = self.repeated(&writes)? {
            return Ok(repeat);
        }
        for write in &writes {
            self.check(write)?;
        }
        let time = self.events.last().map_or(now, |last| last.time.max(now));
        let revisions = writes.into_iter().map(|write| self.write(write, time)).collect();
        Ok(Appended { position: self.head(), revisions, is_repeat: false })
    }

    /// The first append's answer if every event is in the log already; a fault if only some are.
    fn repeated(&self, writes: &[Write]) -> Result<Option<Appended>, AppendFault> {
        let mut last = None;
        let mut fresh = None;
        let mut known = None;
        for write in writes {
            for event in &write.events {
                match self.event(event.id, &write.stream) {
                    Some(found) => {
                        known = Some(&write.stream);
                        last = last.max(Some(found.position));
                    }
                    None => fresh = Some(&write.stream),
                }
            }
        }
        match (known, fresh, last) {
            (Some(stream), Some(_), _) => Err(AppendFault::PartlyAppended { stream: stream.clone() }),
            (Some(_), None, Some(position)) => {
                let revisions = writes.iter().map(|write| self.revision_at(&write.stream, position)).collect();
                Ok(Some(Appended { position, revisions, is_repeat: true }))
            }
            _ => Ok(None),
        }
    }

    fn check(&self, write: &Write) -> Result<(), AppendFault> {
        let last = self.last(&write.stream);
        let actual = last.map(|last| last.revision);
        let is_followed = write.follows.is_none_or(|id| last.is_some_and(|last| last.id == id));
        if write.expected.accepts(actual) && is_followed {
            return Ok(());
        }
        Err(AppendFault::WrongRevision { stream: write.stream.clone(), expected: write.expected, actual })
    }

    fn write(&mut self, write: Write, time: Time) -> Option<Revision> {
        let Write { stream, events, .. } = write;
        for event in events {
            let kind = self.kind(&event.kind);
            let revision = self.streams.get(&stream).map_or(0, Vec::len) as u64;
            self.push(Arc::new(Recorded {
                id: event.id,
                stream: stream.clone(),
                kind,
                revision: Revision(revision),
                position: Position(self.head().0 + 1),
                time,
                payload: event.payload,
                metadata: event.metadata,
            }));
        }
        self.last(&stream).map(|last| last.revision)
    }

    /// A type's name, kept once however many events are of it.
    pub fn kind(&mut self, name: &str) -> Arc<str> {
        Arc::clone(self.kinds.entry(name.to_owned()).or_insert_with(|| name.into()))
    }

    /// Whether an event is the very next of the log and of its stream.
    pub fn is_next(&self, event: &Recorded) -> bool {
        let revision = self.streams.get(&event.stream).map_or(0, Vec::len) as u64;
        event.position.0 == self.head().0 + 1 && event.revision.0 == revision
    }

    /// Takes over an event of another log, which must be the next one here.
    pub fn push(&mut self, event: Arc<Recorded>) {
        debug_assert!(self.is_next(&event), "{} is not the next event", event.position);
        let at = self.events.len();
        self.streams.entry(event.stream.clone()).or_default().push(at);
        self.ids.entry(event.id).or_default().push(at);
        self.events.push(event);
    }

    /// Every event after a position.
    pub fn after(&self, position: Position) -> &[Arc<Recorded>] {
        let at = usize::try_from(position.0).unwrap_or(usize::MAX).min(self.events.len());
        &self.events[at..]
    }

    /// Events of one stream, as [`EventStore::read`](crate::EventStore::read) gives them.
    pub fn read(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
        now: Time,
    ) -> Vec<Arc<Recorded>> {
        let indexes = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let events = indexes.iter().map(|&at| &self.events[at]).filter(|event| self.is_kept(event, now));
        match direction {
            Direction::Forwards => events.filter(|event| event.revision >= from).take(limit).cloned().collect(),
            Direction::Backwards => events.rev().filter(|event| event.revision <= from).take(limit).cloned().collect(),
        }
    }

    /// Events of the whole log, as [`EventStore::read_all`](crate::EventStore::read_all) gives them.
    pub fn read_all(&self, from: Position, direction: Direction, filter: &Filter, limit: usize, now: Time) -> Page {
        let at = usize::try_from(from.0).unwrap_or(usize::MAX).min(self.events.len());
        let wanted =
            |event: &&Arc<Recorded>| filter.wants(event.stream.category(), &event.kind) && self.is_kept(event, now);
        let (events, end): (Vec<_>, _) = match direction {
            Direction::Forwards => {
                (self.events[at..].iter().filter(wanted).take(limit).cloned().collect(), from.max(self.head()))
            }
            Direction::Backwards => {
                let before = &self.events[..at.saturating_sub(usize::from(from <= self.head()))];
                (before.iter().rev().filter(wanted).take(limit).cloned().collect(), Position::START)
            }
        };
        match events.last() {
            Some(last) if events.len() >= limit => {
                let considered = last.position;
                let is_end = match direction {
                    Direction::Forwards => considered == self.head(),
                    Direction::Backwards => considered == Position(1),
                };
                Page { events, considered, is_end }
            }
            None if limit == 0 => Page { events, considered: from, is_end: false },
            _ => Page { events, considered: end, is_end: true },
        }
    }

    /// The first event with this id.
    pub fn find(&self, id: Uuid) -> Option<Arc<Recorded>> {
        self.ids.get(&id)?.first().map(|&at| Arc::clone(&self.events[at]))
    }

    /// Limits what is shown of a stream. Nothing is removed.
    pub fn retain(&mut self, stream: &StreamName, retention: Retention) {
        if retention == Retention::default() {
            self.retentions.remove(stream);
        } else {
            self.retentions.insert(stream.clone(), retention);
        }
    }

    /// The newest snapshot of a stream.
    pub fn snapshot(&self, stream: &StreamName) -> Option<Snapshot> {
        self.snapshots.get(stream).cloned()
    }

    /// Keeps a snapshot unless there is a newer one.
    pub fn keep_snapshot(&mut self, stream: &StreamName, snapshot: Snapshot) {
        let is_older = self.snapshots.get(stream).is_some_and(|kept| kept.revision > snapshot.revision);
        if !is_older {
            self.snapshots.insert(stream.clone(), snapshot);
        }
    }

    fn last(&self, stream: &StreamName) -> Option<&Arc<Recorded>> {
        self.streams.get(stream)?.last().map(|&at| &self.events[at])
    }

    fn event(&self, id: Uuid, stream: &StreamName) -> Option<&Arc<Recorded>> {
        self.ids.get(&id)?.iter().map(|&at| &self.events[at]).find(|event| event.stream == *stream)
    }

    /// The stream's last revision when `position` was the head of the log.
    fn revision_at(&self, stream: &StreamName, position: Position) -> Option<Revision> {
        let indexes = self.streams.get(stream)?;
        let after = indexes.partition_point(|&at| self.events[at].position <= position);
        after.checked_sub(1).map(|last| Revision(last as u64))
    }

    fn is_kept(&self, event: &Recorded, now: Time) -> bool {
        let Some(retention) = self.retentions.get(&event.stream) else { return true };
        let later = self.last(&event.stream).map_or(0, |last| last.revision.0 - event.revision.0);
        retention.max_count.is_none_or(|count| later < count)
            && retention.max_age.is_none_or(|age| now.since(event.time) <= age)
    }
}
