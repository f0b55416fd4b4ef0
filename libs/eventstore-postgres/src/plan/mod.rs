//! What a batch does to the log, worked out from what is known of it. Pure: whatever is not known is asked for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cairn_eventstore::{AppendFault, Appended, Fresh, NewEvent, Recorded, Retention, Write};
use cairn_kernel::{Position, Revision, StreamName, Time};
use uuid::Uuid;

#[cfg(test)]
mod spec;
mod take_over;

pub(crate) use take_over::take_over;

/// Most different event types. They come from our contracts; a flood of them is a fault.
const KINDS_MAX: i32 = 65_536;

/// The one row that everything goes on from: where the log ends, and which numbers are given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct End {
    pub(crate) position: u64,
    pub(crate) time: Time,
    /// Streams and types that have a number, and so the last one given.
    pub(crate) streams: i64,
    pub(crate) kinds: i32,
    /// How often what is kept of a stream was changed.
    pub(crate) retentions: i64,
}

/// The end of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Head {
    /// The stream's number; `None` until something is stored about it.
    pub(crate) stream: Option<i64>,
    /// Revision and id of its last event.
    pub(crate) last: Option<(u64, Uuid)>,
    /// Whether it does not keep everything.
    pub(crate) is_retained: bool,
}

/// What is known of the log as it ends now.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) heads: HashMap<StreamName, Head>,
    pub(crate) kinds: HashMap<Arc<str>, i32>,
    /// Where an event of a stream is. `None`: it is not there.
    pub(crate) known: HashMap<(StreamName, Uuid), Option<u64>>,
    /// The last revision of a stream when the log ended at a position.
    pub(crate) pasts: HashMap<(StreamName, u64), Option<u64>>,
}

/// What must be known before a batch can be worked out.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Lack {
    pub(crate) heads: HashSet<StreamName>,
    pub(crate) known: HashSet<(StreamName, Uuid)>,
    pub(crate) pasts: HashSet<(StreamName, u64)>,
}

/// What somebody wants.
#[derive(Clone, Copy)]
pub(crate) enum Wish<'a> {
    Append(&'a [Write]),
    Retain(&'a StreamName, Retention),
}

/// What somebody is told once it is committed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Appended(Result<Appended, AppendFault>),
    Retained,
}

/// An event with the numbers that its row holds.
pub(crate) struct Planned {
    pub(crate) stream: i64,
    pub(crate) kind: i32,
    pub(crate) fresh: Fresh,
}

/// What to write, and what to tell whom.
pub(crate) struct Plan {
    pub(crate) end: End,
    pub(crate) events: Vec<Planned>,
    pub(crate) streams: Vec<(i64, StreamName)>,
    pub(crate) kinds: Vec<(i32, Arc<str>)>,
    pub(crate) retentions: Vec<(i64, Retention)>,
    /// In the order of the wishes.
    pub(crate) outcomes: Vec<Outcome>,
    /// Heads as they are then.
    pub(crate) heads: HashMap<StreamName, Head>,
}

impl Lack {
    fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.known.is_empty() && self.pasts.is_empty()
    }
}

impl Plan {
    /// Whether there is nothing to write.
    pub(crate) fn is_idle(&self) -> bool {
        self.events.is_empty() && self.retentions.is_empty()
    }
}

/// Works out a batch on the log that ends at `end`, in the order of the wishes.
///
/// An append whose expectations hold is most likely new, so its ids are looked for only if `is_careful`: the database's own
/// index objects to those that are there, and then the batch is worked out once more, carefully.
pub(crate) fn plan(wishes: &[Wish<'_>], facts: &Facts, end: End, now: Time, is_careful: bool) -> Result<Plan, Lack> {
    let mut planner = Planner::new(facts, end, now, is_careful);
    planner.ask_for_heads(wishes);
    if !planner.lack.is_empty() {
        return Err(planner.lack);
    }
    for wish in wishes {
        let outcome = match wish {
            Wish::Append(writes) => planner.append(writes).map(Outcome::Appended),
            Wish::Retain(stream, retention) => {
                planner.retain(stream, *retention);
                Some(Outcome::Retained)
            }
        };
        planner.plan.outcomes.extend(outcome);
    }
    // What is asked for rests on what came before; with answers missing there, some of it may not be needed.
    if planner.lack.is_empty() { Ok(planner.plan) } else { Err(planner.lack) }
}

struct Planner<'a> {
    facts: &'a Facts,
    /// Where the log ends without this batch.
    start: u64,
    is_careful: bool,
    plan: Plan,
    /// Where events of this batch will be.
    added: HashMap<(StreamName, Uuid), u64>,
    lack: Lack,
}

impl<'a> Planner<'a> {
    fn new(facts: &'a Facts, end: End, now: Time, is_careful: bool) -> Self {
        let plan = Plan {
            end: End { time: end.time.max(now), ..end },
            events: vec![],
            streams: vec![],
            kinds: vec![],
            retentions: vec![],
            outcomes: vec![],
            heads: HashMap::new(),
        };
        Self { facts, start: end.position, is_careful, plan, added: HashMap::new(), lack: Lack::default() }
    }

    fn ask_for_heads(&mut self, wishes: &[Wish<'_>]) {
        let mut ask = |stream: &StreamName| {
            if !self.facts.heads.contains_key(stream) {
                self.lack.heads.insert(stream.clone());
            }
        };
        for wish in wishes {
            match wish {
                Wish::Append(writes) => writes.iter().for_each(|write| ask(&write.stream)),
                Wish::Retain(stream, _) => ask(stream),
            }
        }
    }

    fn head(&self, stream: &StreamName) -> Head {
        self.plan.heads.get(stream).or_else(|| self.facts.heads.get(stream)).copied().unwrap_or_default()
    }

    /// `None`: something must be known first.
    fn append(&mut self, writes: &[Write]) -> Option<Result<Appended, AppendFault>> {
        let refusal = writes.iter().find_map(|write| refusal(write, &self.head(&write.stream)));
        let comes_again = || {
            let mut events = writes.iter().flat_map(|write| write.events.iter().map(|event| (&write.stream, event.id)));
            events.any(|(stream, id)| self.added.contains_key(&(stream.clone(), id)))
        };
        if self.is_careful || refusal.is_some() || comes_again() {
            match self.repeated(writes)? {
                Ok(None) => {}
                Ok(Some(repeat)) => return Some(Ok(repeat)),
                Err(partly) => return Some(Err(partly)),
            }
        }
        match refusal {
            Some(fault) => Some(Err(fault)),
            None => Some(self.insert(writes)),
        }
    }

    /// The first time's answer, if every event of these writes is in the log already; inside, `None` if none is.
    fn repeated(&mut self, writes: &[Write]) -> Option<Result<Option<Appended>, AppendFault>> {
        let (mut last, mut known, mut is_any_new, mut is_any_unclear) = (0, None, false, false);
        for write in writes {
            for event in &write.events {
                match self.place(&write.stream, event.id) {
                    None => is_any_unclear = true,
                    Some(None) => is_any_new = true,
                    Some(Some(position)) => {
                        known = Some(&write.stream);
                        last = position.max(last);
                    }
                }
            }
        }
        if is_any_unclear {
            return None;
        }
        match known {
            None => Some(Ok(None)),
            Some(stream) if is_any_new => Some(Err(AppendFault::PartlyAppended { stream: stream.clone() })),
            Some(_) => {
                let revisions: Vec<_> = writes.iter().map(|write| self.revision_at(&write.stream, last)).collect();
                let revisions = revisions.into_iter().collect::<Option<Vec<_>>>()?;
                Some(Ok(Some(Appended { position: Position(last), revisions, is_repeat: true })))
            }
        }
    }

    /// Where an event is, in the log or in this batch. The outer `None`: not known.
    fn place(&mut self, stream: &StreamName, id: Uuid) -> Option<Option<u64>> {
        let key = (stream.clone(), id);
        if let Some(position) = self.added.get(&key) {
            return Some(Some(*position));
        }
        let known = self.facts.known.get(&key).copied();
        if known.is_none() {
            self.lack.known.insert(key);
        }
        known
    }

    /// A stream's last revision when `position` was the end of the log. The outer `None`: not known.
    fn revision_at(&mut self, stream: &StreamName, position: u64) -> Option<Option<Revision>> {
        if position > self.start {
            let events = self.plan.events.iter().rev().map(|planned| &planned.fresh.event);
            let mut until = events.filter(|event| event.position.0 <= position && event.stream == *stream);
            let before = || self.facts.heads.get(stream).and_then(|head| head.last).map(|(last, _)| Revision(last));
            return Some(until.next().map(|event| event.revision).or_else(before));
        }
        let key = (stream.clone(), position);
        let past = self.facts.pasts.get(&key).copied();
        if past.is_none() {
            self.lack.pasts.insert(key);
        }
        past.map(|revision| revision.map(Revision))
    }

    fn insert(&mut self, writes: &[Write]) -> Result<Appended, AppendFault> {
        self.name_kinds(writes)?;
        let mut revisions = Vec::with_capacity(writes.len());
        for write in writes {
            let mut head = self.head(&write.stream);
            if !write.events.is_empty() {
                let stream = self.number_of(&write.stream, &mut head);
                for event in &write.events {
                    self.push(stream, &write.stream, event, &mut head);
                }
                self.plan.heads.insert(write.stream.clone(), head);
            }
            revisions.push(head.last.map(|(last, _)| Revision(last)));
        }
        Ok(Appended { position: Position(self.plan.end.position), revisions, is_repeat: false })
    }

    fn push(&mut self, stream: i64, name: &StreamName, event: &NewEvent, head: &mut Head) {
        let (kind_name, kind) = self.kind(&event.kind).expect("types were given numbers before");
        let revision = head.last.map_or(0, |(last, _)| last + 1);
        let position = self.plan.end.position + 1;
        self.plan.end.position = position;
        head.last = Some((revision, event.id));
        self.added.insert((name.clone(), event.id), position);
        let recorded = Recorded {
            id: event.id,
            stream: name.clone(),
            kind: kind_name,
            revision: Revision(revision),
            position: Position(position),
            time: self.plan.end.time,
            payload: event.payload.clone(),
            metadata: event.metadata.clone(),
        };
        let fresh = Fresh { event: Arc::new(recorded), is_retained: head.is_retained };
        self.plan.events.push(Planned { stream, kind, fresh });
    }

    /// The stream's number, given one if it has none.
    fn number_of(&mut self, name: &StreamName, head: &mut Head) -> i64 {
        if let Some(number) = head.stream {
            return number;
        }
        self.plan.end.streams += 1;
        let number = self.plan.end.streams;
        self.plan.streams.push((number, name.clone()));
        head.stream = Some(number);
        number
    }

    fn kind(&self, name: &str) -> Option<(Arc<str>, i32)> {
        let known = self.facts.kinds.get_key_value(name).map(|(name, number)| (Arc::clone(name), *number));
        let new =
            || self.plan.kinds.iter().find(|(_, new)| &**new == name).map(|(number, name)| (Arc::clone(name), *number));
        known.or_else(new)
    }

    /// Gives every type a number. All or nothing comes of an append, so this is done before anything else is.
    fn name_kinds(&mut self, writes: &[Write]) -> Result<(), AppendFault> {
        let mut events = writes.iter().flat_map(|write| &write.events);
        events.try_for_each(|event| self.name_kind(&event.kind, event.id))
    }

    fn name_kind(&mut self, kind: &str, event: Uuid) -> Result<(), AppendFault> {
        if self.kind(kind).is_some() {
            return Ok(());
        }
        if self.plan.end.kinds >= KINDS_MAX {
            return Err(AppendFault::Invalid(format!("event {event}: too many event types")));
        }
        self.plan.end.kinds += 1;
        self.plan.kinds.push((self.plan.end.kinds, kind.into()));
        Ok(())
    }

    fn retain(&mut self, stream: &StreamName, retention: Retention) {
        let mut head = self.head(stream);
        let number = self.number_of(stream, &mut head);
        head.is_retained = retention != Retention::default();
        self.plan.heads.insert(stream.clone(), head);
        self.plan.end.retentions += 1;
        self.plan.retentions.retain(|(earlier, _)| *earlier != number);
        self.plan.retentions.push((number, retention));
    }
}

/// Why a write cannot follow what is there.
fn refusal(write: &Write, head: &Head) -> Option<AppendFault> {
    let actual = head.last.map(|(revision, _)| Revision(revision));
    let is_followed = write.follows.is_none_or(|id| head.last.is_some_and(|(_, last)| last == id));
    if write.expected.accepts(actual) && is_followed {
        return None;
    }
    Some(AppendFault::WrongRevision { stream: write.stream.clone(), expected: write.expected, actual })
}
