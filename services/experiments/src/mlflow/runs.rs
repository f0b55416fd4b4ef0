use cairn_kernel::{Expected, Time};
use cairn_service::{Refusal, Reply, refuse};
use proto::mlflow_run_service_server::MlflowRunService;
use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::convert::{new_run, run, run_info, state};
use super::entries::{batch, params, push_metric, tags};
use super::experiments::{lifecycle, said};
use super::fault::{ErrorCode, invalid, translated};
use super::required::{check_key, page_size, required, run_id};
use super::{Mlflow, proto};
use crate::app::{NewBatch, RunDraft};
use crate::model::Points;
use crate::model::entry::tag;
use crate::model::name::DEFAULT_EXPERIMENT;
use crate::model::run::Dataset;
use crate::query::{RunDetail, RunSearch};
use crate::search::{run_filter, run_order};

/// Runs on one page, unless the caller says otherwise, and at most.
const PAGE_DEFAULT: i32 = 1000;
const PAGE_MAX: i64 = 50_000;
/// Longest fields of a data set, in characters.
const DATASET_NAME_CHARS_MAX: usize = 500;
const DATASET_DIGEST_CHARS_MAX: usize = 36;
const DATASET_SOURCE_CHARS_MAX: usize = 65_535;
const DATASET_SCHEMA_CHARS_MAX: usize = 1_048_575;
/// Tag that holds what clients older than logged models note of a run's models.
const MODEL_HISTORY: &str = "mlflow.log-model.history";

#[tonic::async_trait]
impl MlflowRunService for Mlflow {
    async fn create_run(&self, request: Request<proto::CreateRunRequest>) -> Reply<proto::CreateRunResponse> {
        let (caller, request) = Caller::accept(request)?;
        let id = request.experiment_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(DEFAULT_EXPERIMENT);
        let (experiment, call) = caller.experiment(id)?;
        let tags = tags(request.tags)?;
        let display_name = request.run_name.unwrap_or_default();
        if let Some(tagged) = tags.get(tag::RUN_NAME).filter(|name| !display_name.is_empty() && **name != display_name)
        {
            return Err(invalid(format!(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values \
                 (run_name='{display_name}', mlflow.runName='{tagged}')."
            )));
        }
        let draft = RunDraft {
            display_name,
            user: request.user_id.unwrap_or_default(),
            start_time: request.start_time.map(Time::from_millis),
            tags,
            ..RunDraft::default()
        };
        let made = self.app.begin_run(&call, &experiment, draft).await.map_err(translated)?;
        let new = new_run(&made.value).map_err(|rejection| refuse(Refusal::of(&rejection)))?;
        let answer = proto::CreateRunResponse { run: Some(new) };
        Ok(caller.ctx().reply(answer, made.position))
    }

    async fn get_run(&self, request: Request<proto::GetRunRequest>) -> Reply<proto::GetRunResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.run(&self.app, run_id(&request.run_id, &request.run_uuid)?).await?;
        let record = self.app.run(&call, &name).await.map_err(translated)?;
        Ok(Response::new(proto::GetRunResponse { run: Some(run(record)) }))
    }

    async fn update_run(&self, request: Request<proto::UpdateRunRequest>) -> Reply<proto::UpdateRunResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.run(&self.app, run_id(&request.run_id, &request.run_uuid)?).await?;
        let end_time = request.end_time.map(Time::from_millis);
        let display_name = request.run_name.filter(|name| !name.is_empty());
        let made = self.app.amend_run(&call, &name, state(request.status), end_time, display_name).await;
        let made = made.map_err(translated)?;
        let answer = proto::UpdateRunResponse { run_info: Some(run_info(&made.value)) };
        Ok(caller.ctx().reply(answer, made.position))
    }

    async fn delete_run(&self, request: Request<proto::DeleteRunRequest>) -> Reply<proto::DeleteRunResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.run(&self.app, required("run_id", &request.run_id)?).await?;
        let made = self.app.delete_run(&call, &name, Expected::Any).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::DeleteRunResponse {}, made.position))
    }

    async fn restore_run(&self, request: Request<proto::RestoreRunRequest>) -> Reply<proto::RestoreRunResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.run(&self.app, required("run_id", &request.run_id)?).await?;
        let made = self.app.restore_run(&call, &name, Expected::Any).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::RestoreRunResponse {}, made.position))
    }

    async fn search_runs(&self, request: Request<proto::SearchRunsRequest>) -> Reply<proto::SearchRunsResponse> {
        let (caller, request) = Caller::accept(request)?;
        let limit = page_size(request.max_results.unwrap_or(PAGE_DEFAULT).into(), PAGE_MAX)?;
        let search = RunSearch {
            experiments: Some(request.experiment_ids),
            visible: caller.visible(),
            lifecycle: lifecycle(request.run_view_type),
            // MLflow shows the children of a deleted run.
            skips_hidden: false,
            filter: run_filter(request.filter.as_deref().unwrap_or_default()).map_err(said)?,
            order: run_order(&request.order_by).map_err(said)?,
            limit,
            page_token: request.page_token.unwrap_or_default(),
            detail: RunDetail::Full,
            ..RunSearch::new(caller.project().clone())
        };
        let call = caller.list();
        self.app.settle_runs(&call).await;
        self.app.settle(&call).await.map_err(translated)?;
        let page = self.app.query().search_runs(search).await.map_err(|fault| translated(fault.into()))?;
        Ok(Response::new(proto::SearchRunsResponse {
            runs: page.runs.into_iter().map(run).collect(),
            next_page_token: Some(page.next_page_token).filter(|token| !token.is_empty()),
        }))
    }

    async fn log_metric(&self, request: Request<proto::LogMetricRequest>) -> Reply<proto::LogMetricResponse> {
        let (caller, request) = Caller::accept(request)?;
        let id = run_id(&request.run_id, &request.run_uuid)?;
        let mut points = Points::builder();
        let metric = proto::Metric {
            key: request.key,
            value: request.value,
            timestamp: request.timestamp,
            step: request.step,
            dataset_name: request.dataset_name,
            dataset_digest: request.dataset_digest,
            model_id: request.model_id,
            run_id: None,
        };
        push_metric(&mut points, metric, "")?;
        self.log(&caller, id, NewBatch { metrics: points.finish(), ..NewBatch::default() }).await?;
        Ok(Response::new(proto::LogMetricResponse {}))
    }

    async fn log_param(&self, request: Request<proto::LogParamRequest>) -> Reply<proto::LogParamResponse> {
        let (caller, request) = Caller::accept(request)?;
        let id = run_id(&request.run_id, &request.run_uuid)?;
        check_key("key", required("key", &request.key)?)?;
        let params = params(vec![proto::Param { key: request.key, value: request.value }])?;
        self.log(&caller, id, NewBatch { params, ..NewBatch::default() }).await?;
        Ok(Response::new(proto::LogParamResponse {}))
    }

    async fn log_batch(&self, request: Request<proto::LogBatchRequest>) -> Reply<proto::LogBatchResponse> {
        let (caller, mut request) = Caller::accept(request)?;
        let id = request.run_id.take();
        let id = required("run_id", &id)?;
        self.log(&caller, id, batch(request)?).await?;
        Ok(Response::new(proto::LogBatchResponse {}))
    }

    async fn set_tag(&self, request: Request<proto::SetTagRequest>) -> Reply<proto::SetTagResponse> {
        let (caller, request) = Caller::accept(request)?;
        let id = run_id(&request.run_id, &request.run_uuid)?;
        check_key("key", required("key", &request.key)?)?;
        let tags = tags(vec![proto::RunTag { key: request.key, value: request.value }])?;
        self.log(&caller, id, NewBatch { tags, ..NewBatch::default() }).await?;
        Ok(Response::new(proto::SetTagResponse {}))
    }

    async fn delete_tag(&self, request: Request<proto::DeleteTagRequest>) -> Reply<proto::DeleteTagResponse> {
        let (caller, request) = Caller::accept(request)?;
        let id = required("run_id", &request.run_id)?;
        let key = required("key", &request.key)?;
        let (name, call) = caller.run(&self.app, id).await?;
        if !self.app.run_state(&name).await.map_err(translated)?.tags.contains_key(key) {
            let message = format!("No tag with name: {key} in run with id {id}");
            return Err(ErrorCode::ResourceDoesNotExist.says(message));
        }
        let delete = vec![key.to_owned()];
        let made = self.app.tag_run(&call, &name, Expected::Any, [].into(), delete).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::DeleteTagResponse {}, made.position))
    }

    async fn log_inputs(&self, request: Request<proto::LogInputsRequest>) -> Reply<proto::LogInputsResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.run(&self.app, required("run_id", &request.run_id)?).await?;
        let datasets = request.datasets.into_iter().enumerate().map(|(at, input)| dataset(at, input));
        let datasets = datasets.collect::<Result<_, _>>()?;
        let models = request.models.into_iter().map(|model| Ok(required("models[].model_id", &model.model_id)?.into()));
        let models = models.collect::<Result<_, Status>>()?;
        let made = self.app.log_inputs(&call, &name, datasets, models).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::LogInputsResponse {}, made.position))
    }

    async fn log_outputs(&self, request: Request<proto::LogOutputsRequest>) -> Reply<proto::LogOutputsResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.run(&self.app, required("run_id", &request.run_id)?).await?;
        let models = request.models.into_iter().map(|model| {
            let id = required("models[].model_id", &model.model_id)?;
            Ok((id.to_owned(), model.step.unwrap_or_default()))
        });
        let models = models.collect::<Result<_, Status>>()?;
        let made = self.app.log_outputs(&call, &name, models).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::LogOutputsResponse {}, made.position))
    }

    async fn log_model(&self, request: Request<proto::LogModelRequest>) -> Reply<proto::LogModelResponse> {
        let (caller, request) = Caller::accept(request)?;
        let id = required("run_id", &request.run_id)?;
        let text = required("model_json", &request.model_json)?;
        let model: serde_json::Value = serde_json::from_str(text)
            .map_err(|_| invalid(format!("Malformed model info. \n {text} \n is not a valid JSON.")))?;
        let (name, call) = caller.run(&self.app, id).await?;
        self.app.append_to_tag(&call, &name, MODEL_HISTORY, model).await.map_err(translated)?;
        Ok(Response::new(proto::LogModelResponse {}))
    }
}

impl Mlflow {
    async fn log(&self, caller: &Caller, id: &str, batch: NewBatch) -> Result<(), Status> {
        let (name, call) = caller.run(&self.app, id).await?;
        self.app.log_batch(&call, &name, batch).await.map_err(translated)?;
        Ok(())
    }
}

/// A data set as clients send it. MLflow's server takes one without a name; nobody could find it again. Its profile may
/// be as long as the log takes it (`experiments.inputs_bytes_max`).
fn dataset(at: usize, input: proto::DatasetInput) -> Result<Dataset, Status> {
    let dataset = input.dataset.unwrap_or_default();
    let field = |name: &str| format!("datasets[{at}].dataset.{name}");
    for (name, value, chars_max) in [
        ("name", &dataset.name, DATASET_NAME_CHARS_MAX),
        ("digest", &dataset.digest, DATASET_DIGEST_CHARS_MAX),
        ("source", &dataset.source, DATASET_SOURCE_CHARS_MAX),
        ("schema", &dataset.schema, DATASET_SCHEMA_CHARS_MAX),
    ] {
        if value.as_ref().is_some_and(|value| value.len() > chars_max && value.chars().count() > chars_max) {
            return Err(invalid(format!("'{name}' exceeds the maximum length of {chars_max} characters")));
        }
    }
    Ok(Dataset {
        display_name: required(&field("name"), &dataset.name)?.to_owned(),
        digest: required(&field("digest"), &dataset.digest)?.to_owned(),
        source_type: dataset.source_type.unwrap_or_default(),
        source: dataset.source.unwrap_or_default(),
        schema: dataset.schema.unwrap_or_default(),
        profile: dataset.profile.unwrap_or_default(),
        tags: tags(input.tags)?,
    })
}
