use std::str::FromStr;
use std::time::Duration;

use cairn_access::{AuthenticationFault, Behind};
use cairn_eventstore::{AppendFault, CommandFault, ReadFault};
use cairn_kernel::{Code, Fault, NameFault};
use cairn_projection::{QueryFault, WaitFault};
use tonic::{Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// What every handler returns.
pub type Reply<T> = Result<Response<T>, Status>;

/// Any fault on its way to the caller: code, reason, message, and the values the message mentions.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: Code,
    pub domain: &'static str,
    pub reason: &'static str,
    pub message: String,
    pub metadata: Vec<(&'static str, String)>,
    pub retry_after: Option<Duration>,
    /// What happened inside, for the log only. The caller sees a correlation id.
    pub cause: Option<Box<str>>,
}

/// Turns any fault into the status the caller gets: `.await.map_err(refuse)?`.
pub fn refuse(fault: impl Into<Refusal>) -> Status {
    fault.into().into()
}

/// Parses a request field: `let name: RunName = field("name", &request.name)?;`
pub fn field<T: FromStr>(field: &'static str, text: &str) -> Result<T, Status>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|fault: T::Err| refuse(Refusal::invalid(field, fault.to_string())))
}

impl Refusal {
    /// A refusal of the chassis itself.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            domain: "cairn",
            reason,
            message: message.into(),
            metadata: vec![],
            retry_after: None,
            cause: None,
        }
    }

    /// A request field that does not hold what it should.
    pub fn invalid(field: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidArgument, "VALIDATION_ERROR", format!("{field}: {problem}")).with("field", field)
    }

    /// Ours to fix. Outside only says so; `cause` goes to the log.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let mut refusal = Self::new(Code::Internal, "INTERNAL", "something went wrong on our side");
        refusal.cause = Some(cause.to_string().into());
        refusal
    }

    /// Adds a value that the message mentions.
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.metadata.push((key, value.to_string()));
        self
    }

    /// Says when to try again.
    pub fn after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Any domain fault. (Not `From`: a blanket one would exclude the others.)
    pub fn of<F: Fault>(fault: &F) -> Self {
        let (code, reason, metadata) = fault.describe();
        Self { code, domain: F::DOMAIN, reason, message: fault.to_string(), metadata, retry_after: None, cause: None }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let mut details = ErrorDetails::new();
        let metadata = refusal.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        details.set_error_info(refusal.reason, refusal.domain, metadata.collect::<std::collections::HashMap<_, _>>());
        if let Some(delay) = refusal.retry_after {
            details.set_retry_info(Some(delay));
        }
        let mut status = Self::with_error_details(code(refusal.code), refusal.message, details);
        if let Some(cause) = refusal.cause {
            status.set_source(std::sync::Arc::new(std::io::Error::other(cause.into_string())));
        }
        status
    }
}

impl<R: Fault> From<CommandFault<R>> for Refusal {
    fn from(fault: CommandFault<R>) -> Self {
        let message = fault.to_string();
        match fault {
            CommandFault::Rejected(rejection) => Self::of(&rejection),
            CommandFault::Stale { .. } => Self::new(Code::Aborted, "ETAG_MISMATCH", message),
            CommandFault::Contended { .. } => {
                Self::new(Code::Aborted, "CONTENDED", message).after(Duration::from_millis(50))
            }
            CommandFault::RequestReused { hash, earlier_hash } => {
                Self::new(Code::AlreadyExists, "REQUEST_ID_REUSED", message)
                    .with("hash", hash)
                    .with("earlier_hash", earlier_hash)
            }
            CommandFault::Append(fault) => fault.into(),
            CommandFault::Read(fault) => fault.into(),
            CommandFault::Decode(fault) => {
                let mut refusal = Self::new(Code::Internal, "STORAGE_ERROR", "a stored event could not be read");
                refusal.cause = Some(fault.to_string().into());
                refusal
            }
        }
    }
}

impl From<AppendFault> for Refusal {
    fn from(fault: AppendFault) -> Self {
        let message = fault.to_string();
        match fault {
            AppendFault::Busy { retry_after } => {
                Self::new(Code::ResourceExhausted, "STORE_BUSY", message).after(retry_after)
            }
            AppendFault::StorageFull => {
                Self::new(Code::Unavailable, "STORAGE_FULL", message).after(Duration::from_secs(5))
            }
            AppendFault::WrongRevision { .. } => Self::new(Code::Aborted, "CONTENDED", message),
            AppendFault::Unavailable(_) => {
                Self::new(Code::Unavailable, "STORE_UNAVAILABLE", message).after(Duration::from_secs(1))
            }
            AppendFault::Damaged(why) => ReadFault::Damaged(why).into(),
            AppendFault::PartlyAppended { .. } | AppendFault::Invalid(_) => Self::internal(message),
        }
    }
}

impl From<AuthenticationFault> for Refusal {
    fn from(fault: AuthenticationFault) -> Self {
        let refusal = Self::of(&fault);
        if fault == AuthenticationFault::Stale { refusal.after(Duration::from_secs(1)) } else { refusal }
    }
}

impl From<Behind> for Refusal {
    fn from(fault: Behind) -> Self {
        Self::of(&fault).after(Duration::from_millis(200))
    }
}

impl From<ReadFault> for Refusal {
    fn from(fault: ReadFault) -> Self {
        match &fault {
            ReadFault::Unavailable(_) => {
                Self::new(Code::Unavailable, "STORE_UNAVAILABLE", fault.to_string()).after(Duration::from_secs(1))
            }
            ReadFault::Damaged(_) => {
                let mut refusal = Self::new(Code::Internal, "STORAGE_ERROR", "what is stored could not be read");
                refusal.cause = Some(fault.to_string().into());
                refusal
            }
        }
    }
}

impl From<QueryFault> for Refusal {
    fn from(fault: QueryFault) -> Self {
        let mut refusal = Self::new(Code::Internal, "STORAGE_ERROR", "the read model could not be read");
        refusal.cause = Some(fault.to_string().into());
        refusal
    }
}

impl From<WaitFault> for Refusal {
    fn from(fault: WaitFault) -> Self {
        Self::new(Code::Unavailable, "VIEW_BEHIND", fault.to_string()).after(Duration::from_millis(200))
    }
}

impl From<NameFault> for Refusal {
    fn from(fault: NameFault) -> Self {
        Self::new(Code::InvalidArgument, "VALIDATION_ERROR", fault.to_string())
    }
}

fn code(code: Code) -> tonic::Code {
    match code {
        Code::Cancelled => tonic::Code::Cancelled,
        Code::InvalidArgument => tonic::Code::InvalidArgument,
        Code::DeadlineExceeded => tonic::Code::DeadlineExceeded,
        Code::NotFound => tonic::Code::NotFound,
        Code::AlreadyExists => tonic::Code::AlreadyExists,
        Code::PermissionDenied => tonic::Code::PermissionDenied,
        Code::ResourceExhausted => tonic::Code::ResourceExhausted,
        Code::FailedPrecondition => tonic::Code::FailedPrecondition,
        Code::Aborted => tonic::Code::Aborted,
        Code::OutOfRange => tonic::Code::OutOfRange,
        Code::Unimplemented => tonic::Code::Unimplemented,
        Code::Internal => tonic::Code::Internal,
        Code::Unavailable => tonic::Code::Unavailable,
        Code::Unauthenticated => tonic::Code::Unauthenticated,
    }
}
