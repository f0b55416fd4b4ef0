use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_contract::google::api::HttpBody;
use cairn_service::Reply;
use proto::mlflow_metric_service_server::MlflowMetricService;
use serde_json::json;
use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::convert::{finite, point};
use super::fault::{invalid, missing, translated};
use super::required::{required, run_id};
use super::{Mlflow, proto};
use crate::metrics::Row;

/// Points read at a time.
const PAGE: usize = 50_000;
/// Most points of one unpaged history. Clients of more ask for pages.
const POINTS_MAX: usize = 1_000_000;
/// Most runs whose histories are asked for at once.
const RUNS_MAX: usize = 100;
/// Points of each run in a bulk answer, at most and unless the caller wants fewer.
const BULK_POINTS_MAX: usize = 25_000;
/// Points of each run in a sampled answer, unless the caller says otherwise, and at most.
const SAMPLE_POINTS_DEFAULT: i32 = 320;
const SAMPLE_POINTS_MAX: i32 = 2500;
/// Fewest points a series is thinned out to.
const SAMPLE_POINTS_MIN: usize = 4;

#[tonic::async_trait]
impl MlflowMetricService for Mlflow {
    async fn get_metric_history(
        &self,
        request: Request<proto::GetMetricHistoryRequest>,
    ) -> Reply<proto::GetMetricHistoryResponse> {
        let (caller, request) = Caller::accept(request)?;
        let id = run_id(&request.run_id, &request.run_uuid)?;
        let key = required("metric_key", &request.metric_key)?;
        let (name, call) = caller.run(&self.app, id).await?;
        let mut after = request.page_token.as_deref().filter(|token| !token.is_empty()).map(cursor).transpose()?;
        let limit = match request.max_results {
            None => POINTS_MAX,
            Some(max) if max < 1 => {
                return Err(invalid(format!(
                    "Invalid value {max} for parameter 'max_results' supplied. It must be a positive integer"
                )));
            }
            Some(max) => (max as usize).min(PAGE),
        };
        self.app.settle_run(&call, &name).await;
        self.app.settle_points(&call).await.map_err(translated)?;
        let mut metrics = vec![];
        loop {
            let wanted = (limit - metrics.len()).min(PAGE);
            let page = self.app.metrics().history(&name, key, after, wanted).await;
            let page = page.map_err(|fault| translated(fault.into()))?;
            metrics.extend(page.rows.iter().map(|row| point(key, row)));
            after = page.next;
            if after.is_none() || metrics.len() >= limit {
                let next_page_token = after.as_ref().map(token);
                return Ok(Response::new(proto::GetMetricHistoryResponse { metrics, next_page_token }));
            }
        }
    }

    async fn get_metric_history_bulk(&self, request: Request<proto::GetMetricHistoryBulkRequest>) -> Reply<HttpBody> {
        let (caller, mut request) = Caller::accept(request)?;
        if request.run_id.is_empty() {
            return Err(invalid("GetMetricHistoryBulk request must specify at least one run_id."));
        }
        let Some(key) = request.metric_key.filter(|key| !key.is_empty()) else {
            return Err(invalid("GetMetricHistoryBulk request must specify a metric_key."));
        };
        check_runs(&request.run_id)?;
        let limit = request.max_results.map_or(BULK_POINTS_MAX, |max| max.max(0) as usize).min(BULK_POINTS_MAX);
        request.run_id.sort_unstable();
        let list = caller.list();
        self.app.settle_runs(&list).await;
        self.app.settle_points(&list).await.map_err(translated)?;
        let mut metrics = vec![];
        for id in &request.run_id {
            // One that is not there has no points, and one that may not be seen looks the same.
            let Ok((name, _)) = caller.run(&self.app, id).await else { continue };
            let page = self.app.metrics().history(&name, &key, None, limit).await;
            let rows = page.map_err(|fault| translated(fault.into()))?.rows;
            metrics.extend(rows.iter().map(|row| {
                let value = if row.value.is_nan() { json!("NaN") } else { json!(finite(row.value)) };
                json!({ "key": key, "run_id": id, "step": row.step, "timestamp": row.time_ms, "value": value })
            }));
        }
        let data = json!({ "metrics": metrics }).to_string().into();
        Ok(Response::new(HttpBody { content_type: "application/json".to_owned(), data, extensions: vec![] }))
    }

    async fn get_metric_history_bulk_interval(
        &self,
        request: Request<proto::GetMetricHistoryBulkIntervalRequest>,
    ) -> Reply<proto::GetMetricHistoryBulkIntervalResponse> {
        let (caller, request) = Caller::accept(request)?;
        if request.run_ids.is_empty() {
            return Err(missing("run_ids"));
        }
        check_runs(&request.run_ids)?;
        let key = required("metric_key", &request.metric_key)?;
        let steps = match (request.start_step, request.end_step) {
            (None, None) => i64::MIN..=i64::MAX,
            (Some(start), Some(end)) if start <= end => start.into()..=end.into(),
            (Some(start), Some(end)) => {
                return Err(invalid(format!(
                    "end_step must be greater than start_step. Found start_step={start} and end_step={end}."
                )));
            }
            _ => return Err(invalid("If either start step or end step are specified, both must be specified.")),
        };
        let points_max = request.max_results.unwrap_or(SAMPLE_POINTS_DEFAULT);
        if !(1..=SAMPLE_POINTS_MAX).contains(&points_max) {
            return Err(invalid(format!(
                "max_results must be between 1 and {SAMPLE_POINTS_MAX}. See the API docs for more information about \
                 request parameters."
            )));
        }
        let list = caller.list();
        self.app.settle_runs(&list).await;
        self.app.settle_points(&list).await.map_err(translated)?;
        let mut metrics = vec![];
        for id in &request.run_ids {
            let Ok((name, _)) = caller.run(&self.app, id).await else { continue };
            let points_max = (points_max as usize).max(SAMPLE_POINTS_MIN);
            let sample = self.app.metrics().sample(&name, key, steps.clone(), points_max).await;
            let sample = sample.map_err(|fault| translated(fault.into()))?;
            metrics.extend(sample.rows.iter().map(|row| proto::MetricWithRunId {
                key: Some(key.to_owned()),
                value: Some(finite(row.value)),
                timestamp: Some(row.time_ms),
                step: Some(row.step),
                run_id: Some(id.clone()),
            }));
        }
        Ok(Response::new(proto::GetMetricHistoryBulkIntervalResponse { metrics }))
    }
}

fn check_runs(ids: &[String]) -> Result<(), Status> {
    if ids.len() > RUNS_MAX {
        return Err(invalid(format!("at most {RUNS_MAX} runs can be asked for at once, not {}", ids.len())));
    }
    Ok(())
}

/// Where a page ended, as clients carry it.
fn token(row: &Row) -> String {
    let parts = [row.time_ms.to_be_bytes(), row.step.to_be_bytes(), row.value.to_bits().to_be_bytes()];
    URL_SAFE_NO_PAD.encode(parts.concat())
}

fn cursor(token: &str) -> Result<Row, Status> {
    let unknown = || invalid(format!("Invalid page token: {token}"));
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| unknown())?;
    let bytes: [u8; 24] = bytes.try_into().map_err(|_| unknown())?;
    let part = |at: usize| bytes[at..at + 8].try_into().map_or(0, u64::from_be_bytes);
    Ok(Row { time_ms: part(0) as i64, step: part(8) as i64, value: f64::from_bits(part(16)) })
}
