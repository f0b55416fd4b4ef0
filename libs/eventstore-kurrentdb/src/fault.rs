use cairn_eventstore::AppendFault;

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    #[error("the event store's configuration is wrong: {}", .0.join("; "))]
    Config(Vec<String>),
    #[error("KurrentDB at {place} cannot be used: {why}")]
    Unreachable { place: String, why: String },
    /// The password is wrong, or this user may not do it.
    #[error("KurrentDB at {place} lets this user not read and append to stream {stream:?}")]
    AccessDenied { place: String, stream: String },
    #[error("stream {stream:?} of KurrentDB at {place} is no log of ours: {why}")]
    Foreign { place: String, stream: String, why: String },
    /// Entries that were acknowledged are gone, or others are in their place.
    #[error("stream {stream:?} of KurrentDB at {place} has lost what is known here: {why}")]
    Lost { place: String, stream: String, why: String },
    #[error(transparent)]
    Replica(#[from] cairn_eventstore_sqlite::OpenFault),
}

impl OpenFault {
    /// What programs tell it by.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Config(_) => "CONFIGURATION_INVALID",
            Self::Unreachable { .. } => "KURRENTDB_UNREACHABLE",
            Self::AccessDenied { .. } => "KURRENTDB_ACCESS_DENIED",
            Self::Foreign { .. } => "KURRENTDB_STREAM_NOT_OURS",
            Self::Lost { .. } => "KURRENTDB_STREAM_LOST_EVENTS",
            Self::Replica(_) => "KURRENTDB_COPY_UNUSABLE",
        }
    }
}

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The stream has so many events.
    WrongRevision(u64),
    /// There is no such stream.
    Missing,
    Denied,
    /// Events are gone that the log had, or that must lie between others.
    Lost(String),
    /// It would be refused again.
    Refused(String),
    /// Nobody knows whether it happened.
    Away(String),
}

impl Fault {
    pub(crate) fn of(error: &eventstore::Error) -> Self {
        use eventstore::{CurrentRevision, Error};
        match error {
            Error::WrongExpectedVersion { current: CurrentRevision::Current(last), .. } => {
                Self::WrongRevision(last + 1)
            }
            Error::WrongExpectedVersion { current: CurrentRevision::NoStream, .. } => Self::WrongRevision(0),
            Error::ResourceNotFound => Self::Missing,
            Error::AccessDenied => Self::Denied,
            Error::ResourceDeleted => Self::Refused("the stream was deleted".to_owned()),
            Error::UnsupportedFeature | Error::ResourceAlreadyExists => Self::Refused(error.to_string()),
            Error::Grpc { code, message } => match format!("{code:?}").as_str() {
                "Unauthenticated" | "PermissionDenied" => Self::Denied,
                "InvalidArgument" | "FailedPrecondition" | "OutOfRange" | "Unimplemented" => {
                    Self::Refused(message.clone())
                }
                _ => Self::Away(error.to_string()),
            },
            _ => Self::Away(error.to_string()),
        }
    }

    /// What callers of an append are told.
    pub(crate) fn answer(&self) -> AppendFault {
        match self {
            Self::Refused(why) => AppendFault::Invalid(why.clone()),
            Self::Lost(why) => AppendFault::Damaged(why.clone()),
            other => AppendFault::Unavailable(other.why()),
        }
    }

    pub(crate) fn why(&self) -> String {
        match self {
            Self::WrongRevision(count) => format!("the log's stream has {count} events"),
            Self::Missing => "the log's stream is not there".to_owned(),
            Self::Denied => "KURRENTDB_ACCESS_DENIED: this user may not read or append to the log's stream".to_owned(),
            Self::Refused(why) | Self::Lost(why) | Self::Away(why) => why.clone(),
        }
    }
}
