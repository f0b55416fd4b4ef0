//! What a process tells about itself: logs, traces and metrics.

mod config;
mod metrics;
mod openmetrics;
mod traceparent;
mod traces;

pub use config::{Config, LogFormat};
pub use metrics::{Metrics, Rendered};
pub use traceparent::{TRACEPARENT, Traceparent, TraceparentFault};
pub use traces::{Telemetry, TelemetryFault, exporter, set_log_filter, subscriber};
