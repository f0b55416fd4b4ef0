use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use super::{Config, LogFormat, Metrics};

/// How long the last spans may take to reach the collector when the process stops.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// The filter of this process's log lines, once started.
static FILTER: OnceLock<Filter> = OnceLock::new();

type Filter = reload::Handle<EnvFilter, Registry>;

/// Writes other log lines from now on. Does nothing where telemetry was not started.
pub fn set_log_filter(filter: &str) -> Result<(), TelemetryFault> {
    let Some(handle) = FILTER.get() else { return Ok(()) };
    let filter = EnvFilter::try_new(filter)?;
    handle.reload(filter).map_err(|fault| TelemetryFault::AlreadyStarted(fault.to_string()))
}

/// Logs, traces and metrics of this process, once started.
pub struct Telemetry {
    metrics: Metrics,
    traces: Option<SdkTracerProvider>,
}

/// Why telemetry did not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryFault {
    #[error("the log filter cannot be used: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("traces cannot be exported: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error("metrics cannot be recorded: {0}")]
    Metrics(String),
    #[error("telemetry was started before: {0}")]
    AlreadyStarted(String),
}

impl Telemetry {
    /// Starts it for the whole process, once. `service` names the process in traces.
    pub fn start(config: &Config, service: &str) -> Result<Self, TelemetryFault> {
        let (metrics, recorder) = Metrics::new().map_err(|fault| TelemetryFault::Metrics(fault.to_string()))?;
        let traces = config.otlp_endpoint.as_deref().map(|endpoint| exporter(config, endpoint, service)).transpose()?;
        let (subscriber, filter) = filtered(config, traces.as_ref(), std::io::stderr)?;
        subscriber.try_init().map_err(|fault| TelemetryFault::AlreadyStarted(fault.to_string()))?;
        let _ = FILTER.set(filter);
        metrics::set_global_recorder(recorder).map_err(|fault| TelemetryFault::AlreadyStarted(fault.to_string()))?;
        Ok(Self { metrics, traces })
    }

    /// The metrics of this process.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Sends what is still to be sent.
    pub async fn stop(self) {
        let Some(traces) = self.traces else { return };
        // It blocks until the collector has answered, so it gets a thread of its own.
        let stopped = tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(FLUSH_MAX)).await;
        if let Ok(Err(fault)) = stopped {
            tracing::warn!(%fault, "the last traces could not be sent");
        }
    }
}

/// Sends traces to a collector, in batches from a thread of its own.
pub fn exporter(config: &Config, endpoint: &str, service: &str) -> Result<SdkTracerProvider, TelemetryFault> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let resource = Resource::builder()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.trace_share)));
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).with_sampler(sampler).build())
}

/// Writes log lines to `writer`, and spans to the exporter if there is one.
///
/// Filtered apart: which lines are written says nothing about which spans are collected.
pub fn subscriber<W>(
    config: &Config,
    traces: Option<&SdkTracerProvider>,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, TelemetryFault>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    Ok(filtered(config, traces, writer)?.0)
}

/// The same, and what changes the filter of lines later.
fn filtered<W>(
    config: &Config,
    traces: Option<&SdkTracerProvider>,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync + use<W>, Filter), TelemetryFault>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let is_text = match config.log_format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if is_text {
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        fmt::layer().with_writer(writer).with_ansi(std::io::stderr().is_terminal() && !is_plain).boxed()
    } else {
        fmt::layer()
            .with_writer(writer)
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed()
    };
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(&config.log_filter)?);
    let lines = lines.with_filter(filter);
    let spans = traces.map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("cairn"));
        // The steps of a call are spans below the level of log lines: without a collector they cost nothing. Of events
        // only those become part of a trace that are worth a line.
        let is_wanted = filter_fn(|metadata| {
            let is_step =
                metadata.is_span() && metadata.target().starts_with("cairn") && *metadata.level() <= Level::DEBUG;
            is_step || *metadata.level() <= Level::INFO
        });
        layer.with_filter(is_wanted.with_max_level_hint(Level::DEBUG))
    });
    Ok((tracing_subscriber::registry().with(lines).with(spans), handle))
}
