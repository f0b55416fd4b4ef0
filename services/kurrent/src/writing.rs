//! Writing streams of programs: on top of an event store that knows neither deletions nor tombstones.
//!
//! What is said of a stream stands in a stream of its own (its metadata). Every append to the one also asserts that the other
//! is as it was, in one atomic append: so an append and a deletion never miss each other, and appends that expect nothing do
//! not get into each other's way.

use std::sync::Arc;

use bytes::Bytes;
use cairn_contract::cairn::eventstore::events::v1::{ProgramEventAppended, StreamMetadataAppended, StreamTombstoned};
use cairn_contract::cairn::options::v1::Process;
use cairn_eventstore::{AppendFault, Appended, Direction, EventStore, NewEvent, Write};
use cairn_kernel::{Code, Expected, Position, Revision, StreamName};
use cairn_service::{Ctx, Refusal, Writer, refuse};
use prost::{Message, Name};
use tonic::Status;
use uuid::Uuid;

use crate::expectation::Expectation;
use crate::kept::{Keeping, Kept, deletion, revival};
use crate::names::{Place, ProgramStream};
use crate::proposal::Proposal;
use crate::{Config, refusals};

/// How often an append is tried that somebody else's got ahead of.
const ATTEMPTS_MAX: usize = 20;
/// Namespace of ids that follow from the ids of other events.
const DERIVED: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_6b75_7272_656e);
/// The type of what is said of a stream.
const SETTINGS: &str = "$metadata";
const JSON: &str = "application/json";

/// Where a write ended up, or what was there instead of what its client expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The last revision of the stream, and the position of the last event that was appended.
    Done {
        revision: Option<Revision>,
        position: Option<Position>,
    },
    Wrong {
        actual: Option<Revision>,
    },
}

/// Writes streams of programs.
#[derive(Clone)]
pub struct Writing {
    config: Arc<Config>,
    store: Arc<dyn EventStore>,
    keeping: Keeping,
}

/// What came of one attempt.
enum Attempt {
    Settled(Written),
    /// What is said of the stream has changed meanwhile.
    Again,
}

impl Writing {
    pub fn new(config: Arc<Config>, store: Arc<dyn EventStore>, keeping: Keeping) -> Self {
        Self { config, store, keeping }
    }

    /// A stream that programs may write.
    pub fn writable(&self, name: &[u8]) -> Result<Place, Status> {
        let place = Place::parse(name).map_err(|fault| refusals::invalid("stream_identifier", fault))?;
        match &place {
            Place::Program(stream) | Place::Metadata(stream) if stream.is_among(&self.config.writable_prefixes) => {
                Ok(place)
            }
            _ => Err(refusals::not_writable(&String::from_utf8_lossy(name), &self.config.writable_prefixes)),
        }
    }

    /// Appends events to a stream, or to what is said of it.
    pub async fn append(
        &self,
        ctx: &Ctx,
        place: &Place,
        expected: Expectation,
        proposals: Vec<Proposal>,
    ) -> Result<Written, Status> {
        match place {
            Place::Program(stream) => self.events(ctx, stream, expected, proposals).await,
            Place::Metadata(stream) => self.said(ctx, stream, expected, proposals).await,
            Place::Platform(_) | Place::System => Err(refusals::not_writable("", &self.config.writable_prefixes)),
        }
    }

    async fn events(
        &self,
        ctx: &Ctx,
        stream: &ProgramStream,
        expected: Expectation,
        proposals: Vec<Proposal>,
    ) -> Result<Written, Status> {
        let first = proposals.first().map(|proposal| proposal.id);
        let events: Vec<NewEvent> = proposals.into_iter().map(|proposal| event(ctx, stream, proposal)).collect();
        let mut kept = self.keeping.lately(stream).await.map_err(refuse)?;
        for _ in 0..ATTEMPTS_MAX {
            if kept.is_tombstoned {
                return Err(refusals::deleted(stream.as_str()));
            }
            let writes = match first {
                Some(first) if kept.is_deleted() => {
                    match self.reviving(ctx, stream, expected, &kept, &events, first).await? {
                        Ok(writes) => writes,
                        Err(wrong) => return Ok(wrong),
                    }
                }
                _ => vec![
                    Write::new(stream.events(), strict(expected, &kept), events.clone()),
                    Write::new(stream.metadata(), kept.unchanged(), vec![]),
                ],
            };
            match self.attempt(stream, writes).await? {
                Attempt::Settled(written) => return Ok(written),
                Attempt::Again => kept = self.keeping.now(stream).await.map_err(refuse)?,
            }
        }
        Err(contended(stream))
    }

    /// Appends to a deleted stream: numbers go on, and what was deleted stays so.
    async fn reviving(
        &self,
        ctx: &Ctx,
        stream: &ProgramStream,
        expected: Expectation,
        kept: &Kept,
        events: &[NewEvent],
        first: Uuid,
    ) -> Result<Result<Vec<Write>, Written>, Status> {
        let last = self.last(&stream.events()).await?;
        match expected {
            Expectation::Exists => return Err(refusals::deleted(stream.as_str())),
            Expectation::At(revision) if last != Some(revision) => return Ok(Err(Written::Wrong { actual: last })),
            Expectation::At(_) | Expectation::NoStream | Expectation::Any => {}
        }
        let next = last.map_or(0, |last| last.0 + 1);
        let said = settings(ctx, stream, derived(first, b"revival"), revival(next).into());
        Ok(Ok(vec![
            Write::new(stream.events(), Expected::after(last), events.to_vec()),
            Write::new(stream.metadata(), kept.unchanged(), vec![said]),
        ]))
    }

    /// Appends to what is said of a stream.
    async fn said(
        &self,
        ctx: &Ctx,
        stream: &ProgramStream,
        expected: Expectation,
        proposals: Vec<Proposal>,
    ) -> Result<Written, Status> {
        let events: Vec<NewEvent> = proposals.into_iter().map(|proposal| saying(ctx, stream, proposal)).collect();
        for _ in 0..ATTEMPTS_MAX {
            let kept = self.keeping.now(stream).await.map_err(refuse)?;
            if kept.is_tombstoned {
                return Err(refusals::deleted(&format!("$${}", stream.as_str())));
            }
            let wanted = strict(expected, &Kept::default());
            if !wanted.accepts(kept.revision) {
                // It may still be the repeat of one that was appended: the log knows.
                let writes = vec![Write::new(stream.metadata(), wanted, events)];
                return match self.attempt(stream, writes).await? {
                    Attempt::Settled(written) => Ok(written),
                    Attempt::Again => Ok(Written::Wrong { actual: kept.revision }),
                };
            }
            let writes = vec![Write::new(stream.metadata(), kept.unchanged(), events.clone())];
            if let Attempt::Settled(written) = self.attempt(stream, writes).await? {
                return Ok(written);
            }
        }
        Err(contended(stream))
    }

    /// Hides what is in a stream.
    pub async fn delete(&self, ctx: &Ctx, stream: &ProgramStream, expected: Expectation) -> Result<Position, Status> {
        let id = Uuid::new_v4();
        self.end(stream, expected, "Delete", |kept, last| {
            if last.is_none() && kept.revision.is_none() {
                return Err(refusals::wrong_revision("Delete", stream.as_str(), expected, None));
            }
            // A deleted stream is deleted, whoever says so once more.
            Ok((!kept.is_deleted()).then(|| settings(ctx, stream, id, deletion().into())))
        })
        .await
    }

    /// Ends a stream for good.
    pub async fn tombstone(
        &self,
        ctx: &Ctx,
        stream: &ProgramStream,
        expected: Expectation,
    ) -> Result<Position, Status> {
        let id = Uuid::new_v4();
        self.end(stream, expected, "Tombstone", |_, _| {
            let tombstone = StreamTombstoned { event_stream: stream.as_str().to_owned() };
            Ok(Some(new_event(ctx, id, StreamTombstoned::full_name(), &tombstone)))
        })
        .await
    }

    async fn end(
        &self,
        stream: &ProgramStream,
        expected: Expectation,
        action: &str,
        say: impl Fn(&Kept, Option<Revision>) -> Result<Option<NewEvent>, Status>,
    ) -> Result<Position, Status> {
        for _ in 0..ATTEMPTS_MAX {
            let kept = self.keeping.now(stream).await.map_err(refuse)?;
            if kept.is_tombstoned {
                return Err(refusals::deleted(stream.as_str()));
            }
            let last = self.last(&stream.events()).await?;
            let Some(said) = say(&kept, last)? else { return Ok(*self.store.head().borrow()) };
            let writes = vec![
                Write::new(stream.events(), strict(expected, &kept), vec![]),
                Write::new(stream.metadata(), kept.unchanged(), vec![said]),
            ];
            match self.attempt(stream, writes).await? {
                Attempt::Settled(Written::Done { position, .. }) => return Ok(position.unwrap_or(Position::START)),
                Attempt::Settled(Written::Wrong { actual }) => {
                    return Err(refusals::wrong_revision(action, stream.as_str(), expected, actual));
                }
                Attempt::Again => {}
            }
        }
        Err(contended(stream))
    }

    /// Appends; the first write is the one that its client expects something of.
    async fn attempt(&self, stream: &ProgramStream, writes: Vec<Write>) -> Result<Attempt, Status> {
        let asked = writes[0].stream.clone();
        let is_empty = writes.iter().all(|write| write.events.is_empty());
        let says = writes.iter().any(|write| write.stream == stream.metadata() && !write.events.is_empty());
        let appended = Writer::Process(Process::EventStreams).run(async { self.store.append(writes).await }).await;
        if says {
            // Read anew whatever came of it; a reader that was on its way meanwhile leaves what an append finds outdated.
            self.keeping.now(stream).await.map_err(refuse)?;
        }
        match appended {
            Ok(Appended { position, revisions, .. }) => Ok(Attempt::Settled(Written::Done {
                revision: revisions.first().copied().flatten(),
                position: (!is_empty).then_some(position),
            })),
            Err(AppendFault::WrongRevision { stream: wrong, actual, .. })
                if wrong == asked && wrong != stream.metadata() =>
            {
                Ok(Attempt::Settled(Written::Wrong { actual }))
            }
            Err(AppendFault::WrongRevision { .. }) => Ok(Attempt::Again),
            Err(AppendFault::PartlyAppended { .. }) => {
                Ok(Attempt::Settled(Written::Wrong { actual: self.last(&asked).await? }))
            }
            Err(AppendFault::Invalid(problem)) => Err(refusals::invalid("proposed_message", problem)),
            // Clients of the protocol come back to a server that cannot be reached, and give up on one that has enough.
            Err(fault @ AppendFault::Busy { .. }) => {
                Err(refuse(Refusal { code: Code::Unavailable, ..Refusal::from(fault) }))
            }
            Err(fault) => Err(refuse(fault)),
        }
    }

    /// The last revision of a stream of the log.
    async fn last(&self, stream: &StreamName) -> Result<Option<Revision>, Status> {
        let last = self.store.read(stream, Revision(u64::MAX), Direction::Backwards, 1).await.map_err(refuse)?;
        Ok(last.first().map(|event| event.revision))
    }
}

/// What the log is to hold an append against. A stream of which something was said exists, even without events.
fn strict(expected: Expectation, kept: &Kept) -> Expected {
    match expected {
        Expectation::Any => Expected::Any,
        Expectation::NoStream => Expected::NoStream,
        Expectation::Exists if kept.revision.is_some() => Expected::Any,
        Expectation::Exists => Expected::Exists,
        Expectation::At(revision) => Expected::Exactly(revision),
    }
}

fn event(ctx: &Ctx, stream: &ProgramStream, proposal: Proposal) -> NewEvent {
    let Proposal { id, kind, content_type, data, metadata } = proposal;
    let event = ProgramEventAppended {
        event_stream: stream.as_str().to_owned(),
        event_type: kind,
        content_type,
        data,
        custom_metadata: metadata,
    };
    new_event(ctx, id, ProgramEventAppended::full_name(), &event)
}

fn saying(ctx: &Ctx, stream: &ProgramStream, proposal: Proposal) -> NewEvent {
    let Proposal { id, kind, content_type, data, metadata } = proposal;
    let said = StreamMetadataAppended {
        event_stream: stream.as_str().to_owned(),
        event_type: kind,
        content_type,
        data,
        custom_metadata: metadata,
    };
    new_event(ctx, id, StreamMetadataAppended::full_name(), &said)
}

/// What the event store itself says of a stream on its client's behalf.
fn settings(ctx: &Ctx, stream: &ProgramStream, id: Uuid, data: Bytes) -> NewEvent {
    let proposal =
        Proposal { id, kind: SETTINGS.to_owned(), content_type: JSON.to_owned(), data, metadata: Bytes::new() };
    saying(ctx, stream, proposal)
}

fn new_event(ctx: &Ctx, id: Uuid, kind: String, event: &impl Message) -> NewEvent {
    NewEvent { id, kind: kind.into(), payload: event.encode_to_vec().into(), metadata: ctx.metadata().encode().into() }
}

fn derived(id: Uuid, what: &[u8]) -> Uuid {
    let text = [id.as_bytes().as_slice(), what].concat();
    Uuid::new_v5(&DERIVED, &text)
}

fn contended(stream: &ProgramStream) -> Status {
    let message = format!("Operation timed out: others keep changing what is said of {}", stream.as_str());
    refuse(Refusal::new(Code::Aborted, "CONTENDED", message))
}
