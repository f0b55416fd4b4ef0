//! Pages of the process itself, beside the contract and open to everybody: its health, its metrics, the API reference.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use cairn_contract::docs;
use cairn_gateway::Gateway;
use cairn_service::health::{Health, Probe};
use cairn_service::telemetry::Metrics;
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// What answers a request with these headers.
type Answer = Arc<dyn Fn(&HeaderMap) -> Response<Body> + Send + Sync>;

/// A page by its path.
struct Page {
    path: &'static str,
    answer: Answer,
}

impl Page {
    fn new(path: &'static str, answer: impl Fn(&HeaderMap) -> Response<Body> + Send + Sync + 'static) -> Self {
        Self { path, answer: Arc::new(answer) }
    }
}

/// Adds them all to a gateway.
pub fn add(gateway: Gateway, health: &Health, metrics: &Metrics) -> Gateway {
    let pages = of_process(health, metrics).into_iter().chain(of_contract());
    pages.fold(gateway, |gateway, Page { path, answer }| gateway.with_page(path, move |headers| answer(headers)))
}

/// Those of a process without a gateway.
pub fn alone(health: &Health, metrics: &Metrics) -> Router {
    of_process(health, metrics).into_iter().fold(Router::new(), |router, Page { path, answer }| {
        router.route(path, get(move |headers: HeaderMap| async move { answer(&headers) }))
    })
}

/// Serves them until `stop`.
pub async fn serve(listener: TcpListener, pages: Router, stop: CancellationToken) {
    let serving = axum::serve(listener, pages).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(fault) = serving.await {
        error!(%fault, "health and metrics are not served any more");
    }
}

fn of_process(health: &Health, metrics: &Metrics) -> [Page; 4] {
    let probe = |path, probe| {
        let health = health.clone();
        Page::new(path, move |_| {
            let report = health.report();
            let body = serde_json::to_string(&report).expect("a report is plain data");
            page(report.http_status(probe), "application/json", body)
        })
    };
    let metrics = metrics.clone();
    [
        probe("/api/v1/health", Probe::Health),
        probe("/api/v1/health/live", Probe::Live),
        probe("/api/v1/health/ready", Probe::Ready),
        Page::new("/api/v1/metrics", move |headers| {
            let rendered = metrics.render(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
            page(StatusCode::OK, rendered.content_type, rendered.body)
        }),
    ]
}

fn of_contract() -> [Page; 2] {
    let reference = |_: &HeaderMap| {
        let mut response = page(StatusCode::OK, "text/html; charset=utf-8", docs::PAGE);
        let policy = HeaderValue::from_static(docs::PAGE_POLICY);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        response
    };
    [
        Page::new("/openapi.json", |_| page(StatusCode::OK, "application/json", docs::OPENAPI)),
        Page::new("/docs", reference),
    ]
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, content_type).body(body.into());
    response.expect("a status and a constant header make a response")
}
