use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use cairn_kernel::Code;
use cairn_service::Refusal;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Response, header};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::caller::Trace;
use crate::problem::Problem;
use crate::route::Route;
use crate::transcode::Plans;

/// How long a reader of events waits before it comes back, in milliseconds.
const RETRY_MS: u32 = 1_000;

/// How a stream of answers is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// One JSON value per line.
    Lines,
    /// Server-sent events, for browsers.
    Events,
}

impl Notation {
    /// What the caller asked for; lines unless it is events.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        if accepted.any(|value| value.contains("text/event-stream")) { Self::Events } else { Self::Lines }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        })
    }

    /// What stands before all messages: how soon to come back after an interruption, and where to go on if no message
    /// has come until then.
    fn beginning(self, place: Option<&str>) -> Option<Bytes> {
        match (self, place) {
            (Self::Lines, _) => None,
            (Self::Events, None) => Some(format!("retry: {RETRY_MS}\n\n").into()),
            (Self::Events, Some(place)) => Some(format!("retry: {RETRY_MS}\nid: {place}\n\n").into()),
        }
    }

    /// One message, and where it stands.
    fn value(self, json: Vec<u8>, place: Option<&str>) -> Bytes {
        match (self, place) {
            (Self::Lines, _) => [&json[..], b"\n"].concat().into(),
            (Self::Events, None) => [b"data: ", &json[..], b"\n\n"].concat().into(),
            (Self::Events, Some(place)) => [b"id: ", place.as_bytes(), b"\ndata: ", &json[..], b"\n\n"].concat().into(),
        }
    }

    /// The last word of a stream that failed.
    fn problem(self, json: &serde_json::Value) -> Bytes {
        match self {
            Self::Lines => format!("{json}\n").into(),
            Self::Events => format!("event: error\ndata: {json}\n\n").into(),
        }
    }

    /// What readers pass over, and proxies do not take for silence.
    fn sign_of_life(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Lines => b"\n",
            Self::Events => b": alive\n\n",
        })
    }
}

/// What a stream needs beside its messages.
pub struct Live {
    pub route: Arc<Route>,
    pub plans: Arc<Plans>,
    pub trace: Trace,
    pub keep_alive: Duration,
    pub closing: CancellationToken,
}

impl Live {
    /// Answers with a stream of JSON values. A failure on the way is its last value, since the status is long sent.
    ///
    /// `place` is where the stream begins, if the service says so.
    pub fn answer(self, messages: Streaming<Bytes>, notation: Notation, place: Option<&str>) -> Response<Body> {
        let place = place.filter(|_| self.route.plan.can_be_taken_up());
        let beginning = stream::iter(notation.beginning(place));
        let stream = stream::unfold(Some((self, messages)), move |state| async move {
            let (live, mut messages) = state?;
            let next = tokio::select! {
                biased;
                next = messages.message() => next,
                () = tokio::time::sleep(live.keep_alive) => {
                    return Some((notation.sign_of_life(), Some((live, messages))));
                }
                () = live.closing.cancelled() => {
                    return Some((notation.problem(&live.problem(closing())), None));
                }
            };
            match next {
                Ok(Some(message)) => match live.route.plan.json(&live.plans, &message) {
                    Ok(json) => {
                        let place = live.route.plan.place(&live.plans, &message);
                        Some((notation.value(json, place.as_deref()), Some((live, messages))))
                    }
                    Err(fault) => Some((notation.problem(&live.problem(Refusal::internal(fault))), None)),
                },
                Ok(None) => None,
                Err(status) => Some((notation.problem(&Problem::from(&status).json(&live.trace)), None)),
            }
        });
        let body = Body::from_stream(beginning.chain(stream).map(Ok::<_, std::convert::Infallible>));
        let mut response = Response::new(body);
        response.headers_mut().insert(header::CONTENT_TYPE, notation.content_type());
        // Proxies that collect an answer before they pass it on are asked not to.
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }

    fn problem(&self, refusal: Refusal) -> serde_json::Value {
        Problem::from(refusal).json(&self.trace)
    }
}

fn closing() -> Refusal {
    Refusal::new(Code::Unavailable, "SHUTTING_DOWN", "the process is stopping").after(Duration::from_secs(1))
}
