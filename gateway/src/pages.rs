use axum::body::Body;
use cairn_service::health::{Health, Probe};
use cairn_service::telemetry::Metrics;
use http::{HeaderMap, HeaderValue, Response, header};

use crate::Gateway;

impl Gateway {
    /// Adds the health of this process: all of it, whether it lives, and whether it should get calls.
    pub fn with_health(self, health: &Health) -> Self {
        let probes = [
            ("/api/v1/health", Probe::Health),
            ("/api/v1/health/live", Probe::Live),
            ("/api/v1/health/ready", Probe::Ready),
        ];
        probes.into_iter().fold(self, |gateway, (path, probe)| {
            let health = health.clone();
            gateway.with_page(path, move |_| {
                let report = health.report();
                let json = serde_json::to_vec(&report).expect("a report is plain data");
                let mut response = page(HeaderValue::from_static("application/json"), json);
                *response.status_mut() = report.http_status(probe);
                response
            })
        })
    }

    /// Adds the metrics of this process, for Prometheus.
    pub fn with_metrics(self, metrics: &Metrics) -> Self {
        let metrics = metrics.clone();
        self.with_page("/api/v1/metrics", move |headers: &HeaderMap| {
            let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
            let rendered = metrics.render(accept);
            page(HeaderValue::from_static(rendered.content_type), rendered.body)
        })
    }
}

/// A page of the process itself.
pub(crate) fn page(content_type: HeaderValue, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
