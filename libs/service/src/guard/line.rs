use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cairn_contract::Method;
use http::Response;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::{Level, debug, error, info, warn};

use super::head::Head;
use super::outcome::{Outcome, name_of};
use super::record;
use crate::Ctx;
use crate::telemetry::Traceparent;

/// The one line that the log has of a call, and its share of the metrics.
pub(crate) struct Line {
    method: &'static Method,
    started: Instant,
    request_id: String,
    trace_id: String,
    principal: String,
    resource: String,
}

impl Line {
    pub fn begin(method: &'static Method, head: &Head, traceparent: Traceparent) -> Self {
        Self {
            method,
            started: Instant::now(),
            request_id: head.request_id.clone(),
            trace_id: traceparent.trace_id(),
            principal: String::new(),
            resource: String::new(),
        }
    }

    /// The caller has been identified.
    pub fn knows(&mut self, ctx: &Ctx, message: &Bytes) {
        self.principal = ctx.principal().to_string();
        self.resource = ctx.resource().to_string();
        if tracing::enabled!(Level::DEBUG) {
            let body = record::json(&self.method.input(), message).unwrap_or_default();
            debug!(method = %self.method.path, request_id = %self.request_id, %body, "called");
        }
    }

    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// The call has ended.
    pub fn end(self, outcome: &Outcome) {
        let elapsed = self.started.elapsed();
        let code = name_of(outcome.code);
        let method = self.method.path.as_str();
        metrics::counter!("cairn_rpc_requests_total", "method" => method, "code" => code).increment(1);
        metrics::histogram!("cairn_rpc_duration_seconds", "method" => method, "code" => code)
            .record(elapsed.as_secs_f64());
        let duration_ms = elapsed.as_secs_f64() * 1000.0;
        // One macro for each level, because a level is part of a constant.
        macro_rules! log {
            ($level:ident) => {
                $level!(
                    method,
                    resource = self.resource,
                    principal = self.principal,
                    code,
                    reason = outcome.reason,
                    message_sent = outcome.message,
                    cause = outcome.cause,
                    duration_ms,
                    request_id = self.request_id,
                    trace_id = self.trace_id,
                    "answered"
                )
            };
        }
        match outcome.code {
            Code::Internal | Code::Unknown | Code::DataLoss => log!(error),
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => log!(warn),
            _ => log!(info),
        }
    }
}

/// Ends the line when the stream ends, and with what it ends.
pub(crate) fn watched(answer: Response<Body>, line: Line) -> Response<Body> {
    answer.map(|body| Body::new(Watched { body, line: Some(line) }))
}

struct Watched {
    body: Body,
    line: Option<Line>,
}

impl Watched {
    fn end(&mut self, outcome: &Outcome) {
        if let Some(line) = self.line.take() {
            line.end(outcome);
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                    self.end(&Outcome::from(&status));
                }
            }
            Poll::Ready(Some(Err(status))) => self.end(&Outcome::from(status)),
            Poll::Ready(None) => self.end(&Outcome::ok()),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that is dropped before its end was given up by its caller.
impl Drop for Watched {
    fn drop(&mut self) {
        let cancelled = Outcome { code: Code::Cancelled, reason: "CANCELLED".to_owned(), ..Outcome::ok() };
        self.end(&cancelled);
    }
}
