use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use cairn_service::allowance::{self, Standing};
use cairn_service::network;
use http::Response;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::caller::Trace;
use crate::limit::Counted;
use crate::open::Slot;

/// The line that the log has of a request, written when its answer has left or was abandoned, and its share of the
/// metrics.
///
/// A request that reached the guard has its line there, linked to the audit log by the same request id; what is said
/// here of it is for debugging. One that was refused here has no other. What was in the messages is the guard's to log,
/// since it knows what to hide.
pub struct Line {
    started: Instant,
    verb: String,
    trace: Trace,
    /// The network alone: an address is somebody's, and lines are kept who knows where.
    source: String,
    principal: String,
    /// The route's template, never the path itself: paths have no end, metrics must.
    route: &'static str,
    method: &'static str,
    status: u16,
    reason: String,
    /// Whether the gateway itself refused it.
    is_refused: bool,
    bytes_sent: u64,
    is_whole: bool,
    /// How the caller's allowances stand, to be told in the answer.
    standings: Vec<Standing>,
    /// Its place among the caller's open calls, as long as the answer is under way.
    slot: Option<Slot>,
}

impl Line {
    pub fn begin(verb: &http::Method, trace: &Trace, source: Option<std::net::IpAddr>) -> Self {
        Self {
            started: Instant::now(),
            verb: verb.to_string(),
            trace: trace.clone(),
            source: source.map(|source| network(source).to_string()).unwrap_or_default(),
            principal: String::new(),
            route: "",
            method: "",
            status: 0,
            reason: String::new(),
            is_refused: false,
            bytes_sent: 0,
            is_whole: false,
            standings: vec![],
            slot: None,
        }
    }

    pub fn knows_route(&mut self, route: &'static str, method: &'static str) {
        (self.route, self.method) = (route, method);
    }

    pub fn knows_caller(&mut self, principal: &str) {
        principal.clone_into(&mut self.principal);
    }

    pub fn knows_reason(&mut self, reason: &str, is_refused: bool) {
        reason.clone_into(&mut self.reason);
        self.is_refused = is_refused;
    }

    /// The request has been counted.
    pub fn counts(&mut self, counted: Counted) {
        self.standings = counted.standings;
        self.slot = Some(counted.slot);
    }

    /// It was counted, and is refused for it.
    pub fn exceeds(&mut self, standings: Vec<Standing>) {
        self.standings = standings;
    }

    /// Follows an answer until its last byte.
    pub fn follow(mut self, mut response: Response<Body>) -> Response<Body> {
        allowance::tell(&self.standings, response.headers_mut());
        self.status = response.status().as_u16();
        response.map(|body| Body::new(Followed { body, line: self }))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let class = match self.status {
            0..200 => "none",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        metrics::counter!("cairn_http_requests_total", "method" => self.method, "status" => class).increment(1);
        metrics::histogram!("cairn_http_duration_seconds", "method" => self.method).record(elapsed.as_secs_f64());
        macro_rules! log {
            ($level:ident) => {
                $level!(
                    verb = self.verb,
                    route = self.route,
                    method = self.method,
                    status = self.status,
                    reason = self.reason,
                    principal = self.principal,
                    source = self.source,
                    bytes_sent = self.bytes_sent,
                    is_whole = self.is_whole,
                    duration_ms = elapsed.as_secs_f64() * 1000.0,
                    request_id = self.trace.request_id,
                    trace_id = self.trace.parent.trace_id(),
                    "answered"
                )
            };
        }
        match (self.is_refused, self.status) {
            (false, _) => log!(debug),
            (true, ..500) => log!(info),
            (true, _) => log!(warn),
        }
    }
}

/// A body that is counted as it leaves.
struct Followed {
    body: Body,
    line: Line,
}

impl http_body::Body for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.line.bytes_sent += frame.data_ref().map_or(0, Bytes::len) as u64;
                self.line.is_whole = http_body::Body::is_end_stream(&self.body);
            }
            Poll::Ready(None) => self.line.is_whole = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
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
