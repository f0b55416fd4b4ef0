use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cairn_contract::Method;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::{Level, error, info, warn};

use super::head::Head;
use super::outcome::{Outcome, name_of};
use super::record;
use crate::telemetry::Traceparent;
use crate::{Ctx, Refusal};

/// The one line that the log has of a call, and its share of the metrics.
pub(crate) struct Line {
    method: &'static Method,
    started: Instant,
    request_id: String,
    trace_id: String,
    principal: String,
    resource: String,
    decision_id: String,
    /// The request as JSON, sensitive fields hidden. Only when the log is that talkative.
    request: Option<String>,
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
            decision_id: String::new(),
            request: None,
        }
    }

    /// The caller has been identified.
    pub fn knows(&mut self, ctx: &Ctx, message: &Bytes) {
        self.principal = ctx.principal().to_string();
        self.resource = ctx.resource().to_string();
        self.decision_id = ctx.decision_id().unwrap_or_default().to_owned();
        if tracing::enabled!(Level::DEBUG) {
            self.request = record::json(&self.method.input(), message);
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
        let decision_id = outcome.value("decision_id").unwrap_or(&self.decision_id);
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
                    decision_id,
                    request = self.request,
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

/// How often it is asked whether the caller of a stream may still have it.
const ASKED_EVERY: Duration = Duration::from_millis(500);

/// Ends the line when the stream ends, and with what it ends. With a `ctx`, the stream ends when its caller may no longer
/// have it: a right that is taken away is gone for streams too.
pub(crate) fn watched(answer: Response<Body>, line: Line, ctx: Option<Ctx>) -> Response<Body> {
    let rights = ctx.map(|ctx| Rights { ctx, ask: Box::pin(sleep(ASKED_EVERY)) });
    answer.map(|body| Body::new(Watched { body, line: Some(line), rights, is_cut: false }))
}

struct Watched {
    body: Body,
    line: Option<Line>,
    rights: Option<Rights>,
    /// Whether the last word has been said early.
    is_cut: bool,
}

/// Whose the stream is, and when to ask again whether it still is.
struct Rights {
    ctx: Ctx,
    ask: Pin<Box<Sleep>>,
}

impl Rights {
    /// Why the stream must end, if it must.
    fn lost(&mut self, cx: &mut Context<'_>) -> Option<Refusal> {
        while self.ask.as_mut().poll(cx).is_ready() {
            if let Err(refusal) = self.ctx.still_allowed() {
                return Some(refusal);
            }
            self.ask.as_mut().reset(Instant::now() + ASKED_EVERY);
        }
        None
    }
}

impl Watched {
    fn end(&mut self, outcome: &Outcome) {
        if let Some(line) = self.line.take() {
            line.end(outcome);
        }
    }

    /// Ends the stream with a refusal.
    fn cut(&mut self, refusal: Refusal) -> Frame<Bytes> {
        let status = Status::from(refusal);
        self.end(&Outcome::from(&status));
        self.is_cut = true;
        self.body = Body::empty();
        let mut trailers = HeaderMap::new();
        if let Err(fault) = status.add_header(&mut trailers) {
            warn!(%fault, "the end of a stream cannot say why");
        }
        Frame::trailers(trailers)
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_cut {
            return Poll::Ready(None);
        }
        if let Some(refusal) = self.rights.as_mut().and_then(|rights| rights.lost(cx)) {
            return Poll::Ready(Some(Ok(self.cut(refusal))));
        }
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
        self.is_cut || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Of a stream that may be cut short, nothing is promised.
        SizeHint::default()
    }
}

/// A stream that is dropped before its end was given up by its caller.
impl Drop for Watched {
    fn drop(&mut self) {
        let cancelled = Outcome { code: Code::Cancelled, reason: "CANCELLED".to_owned(), ..Outcome::ok() };
        self.end(&cancelled);
    }
}
