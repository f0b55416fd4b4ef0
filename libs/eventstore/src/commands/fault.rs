use cairn_kernel::{Revision, StreamName};

use crate::{AppendFault, DecodeFault, ReadFault};

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

impl<R> CommandFault<R> {
    /// The same fault where the rules are somebody else's: what they refused is said in other words.
    pub fn map<S>(self, rejection: impl FnOnce(R) -> S) -> CommandFault<S> {
        match self {
            Self::Rejected(rejected) => CommandFault::Rejected(rejection(rejected)),
            Self::Stale { stream, actual } => CommandFault::Stale { stream, actual },
            Self::Contended { stream, attempts } => CommandFault::Contended { stream, attempts },
            Self::RequestReused { hash, earlier_hash } => CommandFault::RequestReused { hash, earlier_hash },
            Self::Append(fault) => CommandFault::Append(fault),
            Self::Read(fault) => CommandFault::Read(fault),
            Self::Decode(fault) => CommandFault::Decode(fault),
        }
    }
}
