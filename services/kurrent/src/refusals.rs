//! What clients are told that does not work: with the code, the text and the trailers that theirs look at.

use cairn_kernel::{Code, Revision};
use cairn_service::{Refusal, refuse};
use tonic::Status;
use tonic::metadata::MetadataValue;
use uuid::Uuid;

use crate::expectation::Expectation;

/// The trailer by which clients tell one refusal from another.
pub const EXCEPTION: &str = "exception";
/// What it says of whoever may not.
pub const DENIED: &str = "access-denied";

/// A refusal with the trailers of the protocol.
fn told<const N: usize>(refusal: Refusal, exception: &str, trailers: [(&'static str, String); N]) -> Status {
    let mut status = refuse(refusal);
    let pairs = std::iter::once((EXCEPTION, exception.to_owned())).chain(trailers);
    for (key, value) in pairs {
        // A name that no header can carry is in the text as well.
        if let Ok(value) = MetadataValue::try_from(value) {
            status.metadata_mut().insert(key, value);
        }
    }
    status
}

/// The request is not what the protocol says.
pub fn invalid(field: &'static str, problem: impl std::fmt::Display) -> Status {
    refuse(Refusal::invalid(field, problem))
}

/// Programs do not write this stream.
pub fn not_writable(stream: &str, prefixes: &[String]) -> Status {
    let message = format!("programs may not write {stream:?}, only streams that begin with {}", prefixes.join(" or "));
    let refusal = Refusal::new(Code::PermissionDenied, "STREAM_NOT_WRITABLE", message).with("stream", stream);
    told(refusal, DENIED, [])
}

/// The stream has a tombstone.
pub fn deleted(stream: &str) -> Status {
    let message = format!("Event stream '{stream}' is deleted.");
    let refusal = Refusal::new(Code::FailedPrecondition, "STREAM_DELETED", message).with("stream", stream);
    told(refusal, "stream-deleted", [("stream-name", stream.to_owned())])
}

/// A stream that is to be deleted is not as its client thinks.
pub fn wrong_revision(action: &str, stream: &str, expected: Expectation, actual: Option<Revision>) -> Status {
    let (expected, actual) = (expected.number(), actual.map_or(-1, |revision| revision.0.cast_signed()));
    let message = format!(
        "{action} failed due to WrongExpectedVersion. Stream: {stream}, Expected version: {expected}, Actual version: {actual}"
    );
    let refusal = Refusal::new(Code::FailedPrecondition, "STREAM_REVISION_WRONG", message)
        .with("stream", stream)
        .with("expected", expected)
        .with("actual", actual);
    let trailers = [
        ("stream-name", stream.to_owned()),
        ("expected-version", expected.to_string()),
        ("actual-version", actual.to_string()),
    ];
    told(refusal, "wrong-expected-version", trailers)
}

/// An event is too large.
pub fn event_too_large(id: Uuid, bytes: usize, bytes_max: usize) -> Status {
    let message = format!("event {id} has {bytes} bytes, more than the {bytes_max} of eventstore.event_bytes_max");
    let refusal = Refusal::new(Code::InvalidArgument, "APPEND_TOO_LARGE", message).with("bytes_max", bytes_max);
    let trailers = [
        ("event-id", id.to_string()),
        ("proposed-append-event-size", bytes.to_string()),
        ("maximum-append-event-size", bytes_max.to_string()),
    ];
    told(refusal, "maximum-append-event-size-exceeded", trailers)
}

/// All events of an append together are too large.
pub fn append_too_large(bytes_max: usize) -> Status {
    let message = format!("the append has more than the {bytes_max} bytes of eventstore.append_bytes_max");
    let refusal = Refusal::new(Code::InvalidArgument, "APPEND_TOO_LARGE", message).with("bytes_max", bytes_max);
    told(refusal, "maximum-append-size-exceeded", [("maximum-append-size", bytes_max.to_string())])
}

/// An event does not say what it is.
pub fn missing_metadata(property: &'static str) -> Status {
    let refusal = Refusal::invalid("metadata", format!("required metadata property '{property}' is missing"));
    let trailers = [("required-metadata-properties", "type,content-type".to_owned())];
    told(refusal, "missing-required-metadata-property", trailers)
}

/// There is no such place in the log.
pub fn no_position(position: u64, head: u64) -> Status {
    let message = format!("Trying to read from an invalid position. {position} is beyond the end of the log, {head}");
    refuse(Refusal::new(Code::InvalidArgument, "LOG_POSITION_INVALID", message).with("position", position))
}

/// There is no place for one more subscription.
pub fn too_many_subscriptions(setting: &'static str) -> Status {
    let message = format!("as many subscriptions are open as {setting} allows");
    refuse(Refusal::new(Code::ResourceExhausted, "SUBSCRIPTIONS_MAX", message).with("setting", setting))
}

/// The process ends. Never the end of a subscription: clients of it would wait for ever, or not at all.
pub fn stopping() -> Status {
    refuse(Refusal::new(Code::Unavailable, "EVENT_STORE_STOPPING", "the event store is stopping; connect again"))
}
