use serde::{Deserialize, Serialize};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object on each line, for programs.
    Json,
}

crate::settings! {
    /// Logs and traces.
    pub struct Config: "telemetry" checked by problems {
        /// Which log lines are written: a level, or levels by module, e.g. `info,cairn_auth=debug`.
        log_filter: String as reloadable = "info".to_owned(), env "RUST_LOG";
        /// How they look: `text`, `json`, or `auto` for text on a terminal and JSON otherwise.
        log_format: LogFormat = LogFormat::Auto;
        /// Collector that traces are sent to over OTLP/gRPC, e.g. `http://localhost:4317`. Not set: none are.
        otlp_endpoint: Option<String> = None, env "OTEL_EXPORTER_OTLP_ENDPOINT";
        /// Share of traces begun here that are collected, from 0 to 1. Traces begun elsewhere are collected as their
        /// beginner decided.
        trace_share: f64 = 1.0;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    if let Err(fault) = tracing_subscriber::EnvFilter::try_new(&config.log_filter) {
        problems.push(format!("log_filter {:?} is no filter: {fault}", config.log_filter));
    }
    if let Some(endpoint) = &config.otlp_endpoint
        && tonic::transport::Endpoint::from_shared(endpoint.clone()).is_err()
    {
        problems.push(format!("otlp_endpoint {endpoint:?} is no address"));
    }
    if !(0.0..=1.0).contains(&config.trace_share) {
        problems.push("trace_share must lie between 0 and 1".to_owned());
    }
    problems
}
