//! Refusals as clients of the protocol expect them.
//!
//! They look at the code, the text and the trailers of the protocol; what else Cairn says of a refusal they take for an error
//! of another protocol, so it is left out.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::refusals::{DENIED, EXCEPTION};

const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// A body whose end is told so.
pub struct Told(Body);

/// An answer, told so wherever it ends.
pub fn told(answer: Response<Body>) -> Response<Told> {
    let mut answer = answer.map(Told);
    // A refusal before the first message is all in the head.
    amend(answer.headers_mut());
    answer
}

fn amend(trailers: &mut HeaderMap) {
    trailers.remove(DETAILS);
    let code = trailers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
    if code == Some(Code::PermissionDenied) && !trailers.contains_key(EXCEPTION) {
        trailers.insert(EXCEPTION, HeaderValue::from_static(DENIED));
    }
}

impl http_body::Body for Told {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.0).poll_frame(cx);
        polled.map(|frame| {
            frame.map(|frame| {
                frame.map(|mut frame| {
                    if let Some(trailers) = frame.trailers_mut() {
                        amend(trailers);
                    }
                    frame
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use cairn_service::{Refusal, refuse};

    use super::*;

    #[test]
    fn a_refusal_has_the_trailers_of_the_protocol_and_no_others() {
        let refusal = Refusal::new(cairn_kernel::Code::PermissionDenied, "ACCESS_DENIED", "no");
        let answer = told(refuse(refusal).into_http());
        assert_eq!(answer.headers().get(EXCEPTION).unwrap(), DENIED);
        assert!(!answer.headers().contains_key(DETAILS));
        let answer = told(crate::refusals::deleted("app.a").into_http());
        assert_eq!(answer.headers().get(EXCEPTION).unwrap(), "stream-deleted");
        assert_eq!(answer.headers().get("stream-name").unwrap(), "app.a");
        assert_eq!(told(Status::unavailable("later").into_http()).headers().get(EXCEPTION), None);
    }
}
