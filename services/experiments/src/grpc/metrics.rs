use std::pin::Pin;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_contract::cairn::experiments::v1 as proto;
use cairn_contract::cairn::experiments::v1::metric_service_server::MetricService;
use cairn_kernel::Position;
use cairn_service::{Ctx, Refusal, Reply, field, refuse};
use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status, async_trait};

use super::parse::{invalid, key, page_size_within};
use super::{Grpc, answer};
use crate::app::{Call, WatchFrom, Watched};
use crate::metrics::{Cursor, Row};
use crate::model::RunName;
use crate::search::SearchFault;

/// Largest page of a history.
const POINTS_MAX: usize = 50_000;
/// Page of a history whose caller does not say.
const POINTS_DEFAULT: usize = 1000;
/// Most metrics in one request.
const METRICS_MAX: usize = 100;
/// How many points a sample may have.
const SAMPLE_POINTS: std::ops::RangeInclusive<usize> = 4..=10_000;

#[async_trait]
impl MetricService for Grpc {
    async fn list_metric_points(
        &self,
        request: Request<proto::ListMetricPointsRequest>,
    ) -> Reply<proto::ListMetricPointsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let run: RunName = field("parent", &request.parent)?;
        key("metric", &request.metric)?;
        let limit = page_size_within(request.page_size, POINTS_DEFAULT, POINTS_MAX)?;
        let after = cursor(&request.page_token)?;
        let call = Call::read(&ctx, &request.as_of)?;
        let reading = self.app.reading_of_points(&call, &run).await.map_err(refuse)?;
        let page = reading.metrics.history(&run, &request.metric, after, limit).await.map_err(refuse)?;
        Ok(Response::new(proto::ListMetricPointsResponse {
            points: page.rows.into_iter().map(|row| answer::point(&request.metric, row)).collect(),
            next_page_token: page.next.map(token).unwrap_or_default(),
        }))
    }

    async fn sample_metrics(
        &self,
        request: Request<proto::SampleMetricsRequest>,
    ) -> Reply<proto::SampleMetricsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let run: RunName = field("parent", &request.parent)?;
        if request.metrics.is_empty() || request.metrics.len() > METRICS_MAX {
            return Err(invalid("metrics", format!("must be 1 to {METRICS_MAX}")));
        }
        request.metrics.iter().try_for_each(|metric| key("metrics", metric))?;
        let points_max = match request.points_max {
            0 => POINTS_DEFAULT,
            points => usize::try_from(points)
                .ok()
                .filter(|points| SAMPLE_POINTS.contains(points))
                .ok_or_else(|| invalid("points_max", "must be 4 to 10000"))?,
        };
        let steps = request.start_step.unwrap_or(i64::MIN)..=request.end_step.unwrap_or(i64::MAX);
        let call = Call::read(&ctx, &request.as_of)?;
        let reading = self.app.reading_of_points(&call, &run).await.map_err(refuse)?;
        let mut series = vec![];
        for metric in request.metrics {
            let sample = reading.metrics.sample(&run, &metric, steps.clone(), points_max).await.map_err(refuse)?;
            if sample.total_count > 0 {
                series.push(proto::MetricSeries {
                    points: sample.rows.into_iter().map(|row| answer::point(&metric, row)).collect(),
                    total_count: sample.total_count,
                    metric,
                });
            }
        }
        Ok(Response::new(proto::SampleMetricsResponse { series }))
    }

    type WatchMetricsStream = Pin<Box<dyn Stream<Item = Result<proto::WatchMetricsResponse, Status>> + Send>>;

    async fn watch_metrics(&self, request: Request<proto::WatchMetricsRequest>) -> Reply<Self::WatchMetricsStream> {
        let (_, request) = Ctx::accept(request)?;
        let run: RunName = field("parent", &request.parent)?;
        if request.metrics.len() > METRICS_MAX {
            return Err(invalid("metrics", format!("at most {METRICS_MAX}")));
        }
        let from =
            WatchFrom { metrics: request.metrics.into_iter().collect(), after: Position(request.after_position) };
        let watch = self.app.watch_metrics(&run, from).await.map_err(refuse)?;
        let answers = watch.map(|watched| watched.map(answer_watched).map_err(refuse));
        Ok(Response::new(Box::pin(answers)))
    }
}

fn answer_watched(watched: Watched) -> proto::WatchMetricsResponse {
    let points = watched.points.into_iter();
    proto::WatchMetricsResponse {
        points: points.map(|(key, step, time_ms, value)| answer::point(&key, Row { step, time_ms, value })).collect(),
        position: watched.position.0,
        is_live: watched.is_live,
        ended: watched.ended.map(proto::RunState::from).unwrap_or_default().into(),
    }
}

/// The last point itself, so that a page continues after it whatever was logged in between.
fn token(cursor: Cursor) -> String {
    let parts = [cursor.time_ms.to_le_bytes(), cursor.step.to_le_bytes(), cursor.value.to_le_bytes()];
    URL_SAFE_NO_PAD.encode(parts.concat())
}

fn cursor(token: &str) -> Result<Option<Cursor>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    match bytes.as_chunks::<8>() {
        ([time_ms, step, value], []) => Ok(Some(Row {
            time_ms: i64::from_le_bytes(*time_ms),
            step: i64::from_le_bytes(*step),
            value: f64::from_le_bytes(*value),
        })),
        _ => Err(refuse(Refusal::of(&SearchFault::PageToken))),
    }
}
