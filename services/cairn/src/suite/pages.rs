//! Pages of the process itself, beside the contract and open to everybody: its health, its metrics, the API reference.

use axum::body::Body;
use cairn_contract::docs;
use cairn_gateway::Gateway;
use cairn_service::health::{Health, Probe};
use cairn_service::telemetry::Metrics;
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// Adds them all.
pub fn add(gateway: Gateway, health: &Health, metrics: &Metrics) -> Gateway {
    let probe = |probe| {
        let health = health.clone();
        move |_: &HeaderMap| {
            let report = health.report();
            let body = serde_json::to_string(&report).expect("a report is plain data");
            page(report.http_status(probe), "application/json", body)
        }
    };
    let metrics = metrics.clone();
    gateway
        .with_page("/api/v1/health", probe(Probe::Health))
        .with_page("/api/v1/health/live", probe(Probe::Live))
        .with_page("/api/v1/health/ready", probe(Probe::Ready))
        .with_page("/api/v1/metrics", move |headers| {
            let rendered = metrics.render(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
            page(StatusCode::OK, rendered.content_type, rendered.body)
        })
        .with_page("/openapi.json", |_| page(StatusCode::OK, "application/json", docs::OPENAPI))
        .with_page("/docs", |_| {
            let mut response = page(StatusCode::OK, "text/html; charset=utf-8", docs::PAGE);
            let policy = HeaderValue::from_static(docs::PAGE_POLICY);
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
            response
        })
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, content_type).body(body.into());
    response.expect("a status and a constant header make a response")
}
