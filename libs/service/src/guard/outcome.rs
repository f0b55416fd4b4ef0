use std::error::Error as _;
use std::sync::atomic::Ordering;

use cairn_kernel as kernel;
use http::Response;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::POSITION;
use crate::{Ctx, Refusal};

/// How a call ended, as far as the head of its answer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub code: Code,
    pub reason: String,
    pub message: String,
    /// What the caller was told besides, e.g. which permission was missing.
    pub values: Vec<(String, String)>,
    /// What happened inside. For the log.
    pub cause: Option<String>,
}

impl Outcome {
    /// Reads it off an answer. Failed calls end in their head; a stream may still fail later.
    pub fn of<B>(answer: &Response<B>) -> Self {
        // The status itself, if it was made in this process, still knows its cause.
        match answer.extensions().get::<Status>() {
            Some(status) => Self::from(status),
            None => Status::from_header_map(answer.headers()).map_or_else(Self::ok, |status| Self::from(&status)),
        }
    }

    pub fn ok() -> Self {
        Self { code: Code::Ok, reason: String::new(), message: String::new(), values: vec![], cause: None }
    }

    pub fn is_ok(&self) -> bool {
        self.code == Code::Ok
    }

    /// A value the caller was told.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl From<&Status> for Outcome {
    fn from(status: &Status) -> Self {
        let info = status.get_error_details().error_info().cloned();
        let (reason, mut values) =
            info.map_or_else(Default::default, |info| (info.reason, info.metadata.into_iter().collect::<Vec<_>>()));
        values.sort();
        Self {
            code: status.code(),
            reason,
            message: status.message().to_owned(),
            values,
            cause: status.source().map(ToString::to_string),
        }
    }
}

/// Says where the last change of a call is stored, if its handler did not.
pub(crate) fn say_where_stored<B>(answer: &mut Response<B>, ctx: &Ctx) {
    let stored = ctx.inner.stored.load(Ordering::Relaxed);
    if stored > 0 {
        answer.headers_mut().entry(POSITION).or_insert_with(|| stored.into());
    }
}

/// The canonical spelling of a code, e.g. `NOT_FOUND`.
pub(crate) fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Gives a reason to a failure that has none: one made by the transport, or by code that speaks no [`Refusal`]. What was
/// not made for callers to read becomes the cause.
pub(crate) fn translated(failed: Response<Body>) -> Response<Body> {
    let Some(status) = failed.extensions().get::<Status>() else { return failed };
    if status.code() == Code::Ok || status.get_error_details().error_info().is_some() {
        return failed;
    }
    let message = status.message();
    answer(match status.code() {
        // How the transport reports bytes that are not the message they should be.
        Code::Internal if message.starts_with("failed to decode Protobuf message") => {
            Refusal::invalid("request", message)
        }
        Code::Internal | Code::Unknown | Code::DataLoss => Refusal::internal(message),
        Code::Unimplemented => Refusal::new(kernel::Code::Unimplemented, "METHOD_UNKNOWN", "not served here"),
        Code::DeadlineExceeded => Refusal::new(kernel::Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message),
        Code::Cancelled => Refusal::new(kernel::Code::Cancelled, "CANCELLED", message),
        _ => return failed,
    })
}

/// Makes a failed answer name its request and its trace.
pub(crate) fn presentable(answer: Response<Body>, request_id: &str, trace_id: &str) -> Response<Body> {
    let Some(status) = answer.extensions().get::<Status>().filter(|status| status.code() != Code::Ok) else {
        return answer;
    };
    let mut details = status.get_error_details();
    details.set_request_info(request_id, trace_id);
    let metadata = status.metadata().clone();
    Status::with_error_details_and_metadata(status.code(), status.message(), details, metadata).into_http()
}

/// An answer that is a refusal.
pub(crate) fn answer(refusal: Refusal) -> Response<Body> {
    Status::from(refusal).into_http()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refuse;

    #[test]
    fn a_refusal_tells_its_reason_and_keeps_its_cause_for_the_log() {
        let refusal = Refusal::internal("disk on fire");
        let outcome = Outcome::of(&answer(refusal));
        assert_eq!((outcome.code, outcome.reason.as_str()), (Code::Internal, "INTERNAL"));
        assert_eq!(outcome.cause.as_deref(), Some("disk on fire"));
        assert!(!outcome.message.contains("fire"));
    }

    #[test]
    fn every_error_names_its_request_and_trace_s3_41() {
        let status = refuse(Refusal::invalid("name", "is empty"));
        let presented = presentable(status.into_http(), "request-1", "trace-1");
        let status = Status::from_header_map(presented.headers()).unwrap();
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "VALIDATION_ERROR");
        assert_eq!(details.error_info().unwrap().metadata["field"], "name");
        let named = details.request_info().unwrap();
        assert_eq!((named.request_id.as_str(), named.serving_data.as_str()), ("request-1", "trace-1"));
    }

    #[test]
    fn a_status_that_was_not_meant_for_callers_does_not_reach_them() {
        let translated = translated(Status::internal("/var/lib/secret: no such file").into_http());
        assert_eq!(Outcome::of(&translated).cause.as_deref(), Some("/var/lib/secret: no such file"));
        let presented = presentable(translated, "r", "t");
        let status = Status::from_header_map(presented.headers()).unwrap();
        assert!(!status.message().contains("secret"));
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "INTERNAL");
    }
}
