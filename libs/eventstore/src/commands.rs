use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_kernel::{Aggregate, Clock, Expected, Metadata, Position, Revision, StreamName};
use uuid::Uuid;

use crate::{AppendFault, DecodeFault, EventStore, ReadFault};

/// An aggregate whose events can be stored. Every shape ever stored is read here.
pub trait Stored: Aggregate {
    /// The event's full message name and its bytes.
    fn encode(event: &Self::Event) -> (&'static str, Bytes);

    /// Reads a stored event, of whatever age.
    fn decode(kind: &str, payload: &[u8]) -> Result<Self::Event, DecodeFault>;

    /// Names the shape that [`Stored::freeze`] writes; change it with the state. `None`: never snapshotted.
    const SNAPSHOT: Option<&'static str> = None;

    /// The state as bytes, for a snapshot.
    fn freeze(&self) -> Bytes {
        Bytes::new()
    }

    /// The state of a snapshot of this shape; `None` if it does not read.
    fn thaw(_state: &[u8]) -> Option<Self> {
        None
    }
}

/// Makes a retry safe: which request this is, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// Derived from principal, method and the caller's `request_id` (or run and batch id).
    pub id: Uuid,
    /// SHA-256 of the request, hex: a repeat must match it.
    pub hash: String,
}

/// Under which circumstances a command is carried out.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Stored with every event the command causes.
    pub metadata: Metadata,
    /// Given when the caller wants retries to be safe.
    pub request: Option<RequestKey>,
}

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

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandFault<R> {
    /// The rules say no.
    #[error(transparent)]
    Rejected(R),
    /// The resource changed since the caller read it (its `etag` is stale).
    #[error("{stream} is at {}, not at the revision of the given etag", actual.map_or("no revision".to_owned(), |r| format!("revision {r}")))]
    Stale { stream: StreamName, actual: Option<Revision> },
    /// Others kept winning the race for the stream.
    #[error("gave up after {attempts} lost races for {stream}")]
    Contended { stream: StreamName, attempts: u32 },
    /// The request id was used for another request.
    #[error("this request id was used for another request")]
    RequestReused { hash: String, earlier_hash: String },
    #[error(transparent)]
    Append(AppendFault),
    #[error(transparent)]
    Read(#[from] ReadFault),
    #[error(transparent)]
    Decode(#[from] DecodeFault),
}

/// Carries out commands: load, decide, append, and decide again when a race is lost. Cheap to clone.
#[derive(Clone)]
pub struct Commands {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
}

impl Commands {
    /// Over one store. `cache_bytes_max` bounds the folded states kept in memory.
    pub fn new(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>, cache_bytes_max: u64) -> Self {
        let _ = (cache_bytes_max, Duration::ZERO);
        Self { store, clock }
    }

    /// The store commands append to.
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    /// The clock that commands take their time from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The current state of a stream.
    pub async fn load<A: Stored>(&self, _stream: &StreamName) -> Result<Loaded<A>, CommandFault<A::Rejection>> {
        unimplemented!()
    }

    /// Carries out one command on one stream.
    ///
    /// `expected` is what the caller's etag says; [`Expected::Any`] decides on whatever is current.
    pub async fn execute<A: Stored>(
        &self,
        _order: &Order,
        _stream: &StreamName,
        _expected: Expected,
        _command: A::Command,
    ) -> Result<Done<A>, CommandFault<A::Rejection>> {
        unimplemented!()
    }

    /// Carries out several commands as one atomic append: all of them or none.
    ///
    /// `attempt` stages its decisions on the [`Work`] and is run again, on fresh states, when a race is lost. It must
    /// do nothing else.
    pub async fn transact<R, T, F, Fut>(&self, _order: &Order, _attempt: F) -> Result<(T, Position), CommandFault<R>>
    where
        F: Fn(Work) -> Fut,
        Fut: Future<Output = Result<(T, Work), CommandFault<R>>>,
    {
        unimplemented!()
    }
}

/// Decisions staged for one atomic append.
pub struct Work {
    commands: Commands,
}

impl Work {
    /// Loads `stream`, decides, and stages the events. Gives the state after them.
    pub async fn decide<A: Stored>(
        &mut self,
        _stream: &StreamName,
        _expected: Expected,
        _command: A::Command,
    ) -> Result<Arc<A>, CommandFault<A::Rejection>> {
        let _ = &self.commands;
        unimplemented!()
    }

    /// Loads `stream` and makes the append depend on its not having changed since.
    pub async fn witness<A: Stored>(&mut self, _stream: &StreamName) -> Result<Loaded<A>, CommandFault<A::Rejection>> {
        unimplemented!()
    }
}
