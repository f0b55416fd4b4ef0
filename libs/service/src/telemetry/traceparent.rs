use std::fmt;
use std::str::FromStr;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

/// Name of the header and of the metadata key that carry it.
pub const TRACEPARENT: &str = "traceparent";

/// Which trace a call belongs to, and which span of it made the call: W3C trace context, version 00.
///
/// One text for HTTP headers, gRPC metadata and the metadata of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    trace: TraceId,
    span: SpanId,
    flags: TraceFlags,
}

/// The text is no trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct TraceparentFault;

impl Traceparent {
    /// The start of a trace that nobody samples: ids to correlate by, even when no collector is configured.
    pub fn fresh() -> Self {
        let (span, _) = Uuid::new_v4().as_u64_pair();
        Self {
            trace: TraceId::from_bytes(Uuid::new_v4().into_bytes()),
            span: SpanId::from_bytes(span.to_be_bytes()),
            flags: TraceFlags::default(),
        }
    }

    /// That of a span, if traces are collected.
    pub fn of(span: &Span) -> Option<Self> {
        let context = span.context();
        let context = context.span().span_context().clone();
        context.is_valid().then(|| Self {
            trace: context.trace_id(),
            span: context.span_id(),
            flags: context.trace_flags(),
        })
    }

    /// Makes `span` a child of this one. Must come before the span is first entered; without a collector it does
    /// nothing.
    pub fn adopt(self, span: &Span) {
        let parent = SpanContext::new(self.trace, self.span, self.flags, true, TraceState::default());
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent));
    }

    /// Has `span` lead back to this one, without being a part of it. Without a collector it does nothing.
    pub fn link(self, span: &Span) {
        span.add_link(SpanContext::new(self.trace, self.span, self.flags, true, TraceState::default()));
    }

    /// Names the trace, 32 hexadecimal digits.
    pub fn trace_id(self) -> String {
        self.trace.to_string()
    }
}

impl FromStr for Traceparent {
    type Err = TraceparentFault;

    fn from_str(text: &str) -> Result<Self, TraceparentFault> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(version), Some(trace), Some(span), Some(flags)) => (version, trace, span, flags),
            _ => return Err(TraceparentFault),
        };
        let is_hex = |part: &str, digits: usize| {
            part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        // A later version may have further parts; this one has not.
        let is_known = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
        if !is_known || !is_hex(trace, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
            return Err(TraceparentFault);
        }
        let trace = TraceId::from_hex(trace).map_err(|_| TraceparentFault)?;
        let span = SpanId::from_hex(span).map_err(|_| TraceparentFault)?;
        if trace == TraceId::INVALID || span == SpanId::INVALID {
            return Err(TraceparentFault);
        }
        let flags = u8::from_str_radix(flags, 16).map_err(|_| TraceparentFault)?;
        Ok(Self { trace, span, flags: TraceFlags::new(flags) & TraceFlags::SAMPLED })
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags.to_u8())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_prints_as_it_was_read() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parsed: Traceparent = text.parse().unwrap();
        assert_eq!(parsed.to_string(), text);
        assert_eq!(parsed.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let fresh = Traceparent::fresh();
        assert_eq!(fresh.to_string().parse(), Ok(fresh));
    }

    #[test]
    fn a_later_version_may_say_more_but_this_one_may_not() {
        let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(format!("01-{ids}-more").parse::<Traceparent>().is_ok());
        assert!(format!("00-{ids}-more").parse::<Traceparent>().is_err());
    }

    #[test]
    fn what_is_not_a_trace_context_is_refused() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<Traceparent>(), Err(TraceparentFault), "{text:?}");
        }
    }
}
