//! What a process tells about itself: logs, traces and metrics.

mod traceparent;

pub use traceparent::{TRACEPARENT, Traceparent, TraceparentFault};
