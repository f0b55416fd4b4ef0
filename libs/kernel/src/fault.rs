use std::fmt;

/// The canonical status codes a fault may carry (gRPC's, without `OK`, `UNKNOWN` and `DATA_LOSS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    Cancelled,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    Unauthenticated,
}

impl Code {
    /// The canonical spelling, e.g. `NOT_FOUND`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "CANCELLED",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Code, stable reason, and every value the message mentions.
pub type Description = (Code, &'static str, Vec<(&'static str, String)>);

/// An error with a stable identity on the wire.
///
/// The reason is a value of `cairn.errors.v1.Reason` without its `REASON_` prefix; its meaning and what the caller can
/// do about it are written there, once. `libs/service` turns a fault into a status with `google.rpc.ErrorInfo`.
pub trait Fault: std::error::Error + Send + Sync + 'static {
    /// Who speaks: `<service>.cairn`.
    const DOMAIN: &'static str;

    /// How this fault looks from outside.
    fn describe(&self) -> Description;
}
