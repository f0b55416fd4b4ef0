use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use tokio_util::sync::CancellationToken;

use super::openmetrics;

/// How often samples are folded into their buckets when nobody reads them.
const FOLD_INTERVAL: Duration = Duration::from_secs(5);

/// Upper bounds of duration histograms, in seconds: a cached read to a call that waits for its deadline.
const SECONDS: &[f64] = &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The metrics of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
}

/// Metrics as a scraper reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub content_type: &'static str,
    pub body: String,
}

impl Metrics {
    /// A recorder, and what reads it. The recorder must still be installed.
    pub fn new() -> Result<(Self, PrometheusRecorder), BuildError> {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?;
        let recorder = builder.build_recorder();
        Ok((Self { handle: recorder.handle() }, recorder))
    }

    /// Folds samples of histograms into their buckets until `stop`. Without it they pile up, one for each call, for as
    /// long as no scraper reads them.
    pub async fn keep_small(&self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(FOLD_INTERVAL);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            self.handle.run_upkeep();
        }
    }

    /// All metrics, in the format that the scraper's `Accept` header prefers: Prometheus text, or OpenMetrics.
    pub fn render(&self, accept: Option<&str>) -> Rendered {
        self.handle.run_upkeep();
        let text = self.handle.render();
        if openmetrics::is_preferred(accept.unwrap_or_default()) {
            Rendered { content_type: openmetrics::CONTENT_TYPE, body: openmetrics::from_text(&text) }
        } else {
            Rendered { content_type: "text/plain; version=0.0.4; charset=utf-8", body: text }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Metrics {
        let (metrics, recorder) = Metrics::new().unwrap();
        metrics::with_local_recorder(&recorder, || {
            metrics::describe_counter!("cairn_rpc_requests_total", "calls answered");
            metrics::counter!("cairn_rpc_requests_total", "code" => "OK").increment(3);
            metrics::gauge!("cairn_view_lag", "view" => "runs").set(7.0);
            metrics::histogram!("cairn_rpc_duration_seconds").record(0.003);
        });
        metrics
    }

    #[test]
    fn metrics_are_text_for_prometheus() {
        let rendered = recorded().render(Some("text/plain;version=0.0.4;q=0.9,*/*;q=0.1"));
        assert_eq!(rendered.content_type, "text/plain; version=0.0.4; charset=utf-8");
        assert!(rendered.body.contains("# TYPE cairn_rpc_requests_total counter\n"), "{}", rendered.body);
        assert!(rendered.body.contains("cairn_rpc_requests_total{code=\"OK\"} 3\n"), "{}", rendered.body);
        assert!(rendered.body.contains("cairn_rpc_duration_seconds_bucket{le=\"0.005\"} 1\n"), "{}", rendered.body);
        assert_eq!(recorded().render(None).content_type, rendered.content_type);
    }

    #[test]
    fn metrics_are_openmetrics_for_those_who_prefer_it() {
        let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let rendered = recorded().render(Some(accept));
        assert_eq!(rendered.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        let body = &rendered.body;
        assert!(body.contains("# TYPE cairn_rpc_requests counter\n"), "{body}");
        assert!(body.contains("# HELP cairn_rpc_requests calls answered\n"), "{body}");
        assert!(body.contains("cairn_rpc_requests_total{code=\"OK\"} 3\n"), "{body}");
        assert!(body.contains("cairn_view_lag{view=\"runs\"} 7\n"), "{body}");
        assert!(body.ends_with("\n# EOF\n"), "{body}");
        assert!(!body.contains("\n\n"), "OpenMetrics has no empty lines");
    }
}
