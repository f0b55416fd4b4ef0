use std::io::Write;
use std::sync::Arc;

use cairn_service::telemetry::{Config, LogFormat, Traceparent, exporter, subscriber};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tracing_subscriber::fmt::MakeWriter;

/// Keeps what is exported to it.
#[derive(Clone, Default)]
struct Collector {
    requests: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.requests.lock().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Keeps what is written to it.
#[derive(Clone, Default)]
struct Lines {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().clone()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_reach_a_collector_in_the_callers_trace() {
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let service = TraceServiceServer::new(collector.clone());
    let server =
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));

    let config = Config { log_filter: "off".into(), ..Config::default() };
    let provider = exporter(&config, &endpoint, "cairn-test").unwrap();
    let subscriber = subscriber(&config, Some(&provider), std::io::sink).unwrap();
    let caller: Traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let ours = tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("rpc", otel.name = "CreateRun");
        caller.adopt(&span);
        let ours = Traceparent::of(&span).unwrap();
        span.in_scope(|| tracing::info!("appended"));
        ours
    });
    assert_eq!(ours.trace_id(), caller.trace_id());
    assert_ne!(ours, caller, "the span is another one");

    tokio::task::spawn_blocking(move || provider.shutdown()).await.unwrap().unwrap();
    let exported = collector.requests.lock().clone();
    let resource = &exported[0].resource_spans[0];
    let name = resource.resource.as_ref().unwrap().attributes.iter().find(|attribute| attribute.key == "service.name");
    assert!(format!("{name:?}").contains("cairn-test"), "{name:?}");
    let span = &resource.scope_spans[0].spans[0];
    assert_eq!(span.name, "CreateRun");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
    assert!(ours.to_string().contains(&hex(&span.span_id)));
    server.abort();
}

#[test]
fn without_a_collector_there_is_no_span_to_continue() {
    let subscriber = subscriber(&Config::default(), None, std::io::sink).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("rpc");
        Traceparent::fresh().adopt(&span);
        assert_eq!(Traceparent::of(&span), None);
    });
}

#[test]
fn debug_lines_come_only_from_the_module_named_s1_54() {
    let lines = Lines::default();
    let config =
        Config { log_filter: "info,cairn_auth=debug".into(), log_format: LogFormat::Json, ..Config::default() };
    let subscriber = subscriber(&config, None, lines.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        tracing::debug!(target: "cairn_auth::keys", key = "k-1", "checked");
        tracing::debug!(target: "cairn_gateway", "matched");
        tracing::info!(target: "cairn_gateway", "listening");
    });
    let text = lines.text();
    let parsed: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> =
        parsed.iter().map(|line| (line["level"].as_str().unwrap(), line["message"].as_str().unwrap())).collect();
    assert_eq!(seen, [("DEBUG", "checked"), ("INFO", "listening")]);
    assert_eq!(parsed[0]["key"], "k-1");
}

#[test]
fn lines_for_people_are_text() {
    let lines = Lines::default();
    let config = Config { log_format: LogFormat::Text, ..Config::default() };
    let subscriber = subscriber(&config, None, lines.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || tracing::warn!(port = 3001, "listening"));
    assert!(lines.text().contains("WARN") && lines.text().contains("listening port=3001"), "{}", lines.text());
}
