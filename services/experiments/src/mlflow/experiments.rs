use cairn_kernel::Expected;
use cairn_service::Reply;
use proto::mlflow_experiment_service_server::MlflowExperimentService;
use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::convert::experiment;
use super::entries::tags;
use super::fault::{ErrorCode, invalid, translated};
use super::required::{check_key, page_size, required};
use super::{Mlflow, proto};
use crate::app::{ExperimentChange, NewExperiment};
use crate::model::entry::{EXPERIMENT_DISPLAY_NAME_CHARS_MAX, EXPERIMENT_TAG_CHARS_MAX};
use crate::query::{ExperimentSearch, LifecycleFilter};
use crate::search::{experiment_filter, experiment_order};

/// Most experiments on one page.
const PAGE_MAX: i64 = 50_000;

#[tonic::async_trait]
impl MlflowExperimentService for Mlflow {
    async fn create_experiment(
        &self,
        request: Request<proto::CreateExperimentRequest>,
    ) -> Reply<proto::CreateExperimentResponse> {
        let (caller, request) = Caller::accept(request)?;
        let call = caller.allow(caller.project().name())?;
        let name = display_name("name", &request.name)?;
        let new = NewExperiment {
            display_name: name.to_owned(),
            artifact_location: request.artifact_location.clone().unwrap_or_default(),
            tags: tags(request.tags)?,
        };
        let made = self.app.create_experiment(&call, caller.project(), new).await.map_err(translated)?;
        let experiment_id = Some(made.value.name.experiment().to_owned());
        Ok(caller.ctx().reply(proto::CreateExperimentResponse { experiment_id }, made.position))
    }

    async fn search_experiments(
        &self,
        request: Request<proto::SearchExperimentsRequest>,
    ) -> Reply<proto::SearchExperimentsResponse> {
        let (caller, request) = Caller::accept(request)?;
        let lifecycle = lifecycle(request.view_type);
        let search = ExperimentSearch {
            project: caller.project().clone(),
            visible: caller.visible(),
            lifecycle,
            limit: page_size(request.max_results.unwrap_or_default(), PAGE_MAX)?,
            filter: experiment_filter(request.filter.as_deref().unwrap_or_default()).map_err(said)?,
            order: experiment_order(&request.order_by).map_err(said)?,
            page_token: request.page_token.unwrap_or_default(),
        };
        let call = caller.list();
        self.app.ensure_default(&call, caller.project()).await.map_err(translated)?;
        self.app.settle(&call).await.map_err(translated)?;
        let page = self.app.query().search_experiments(search).await;
        let page = page.map_err(|fault| translated(fault.into()))?;
        Ok(Response::new(proto::SearchExperimentsResponse {
            experiments: page.experiments.into_iter().map(experiment).collect(),
            next_page_token: Some(page.next_page_token).filter(|token| !token.is_empty()),
        }))
    }

    async fn get_experiment(
        &self,
        request: Request<proto::GetExperimentRequest>,
    ) -> Reply<proto::GetExperimentResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.experiment(required("experiment_id", &request.experiment_id)?)?;
        let record = self.app.experiment(&call, &name).await.map_err(translated)?;
        Ok(Response::new(proto::GetExperimentResponse { experiment: Some(experiment(record)) }))
    }

    async fn get_experiment_by_name(
        &self,
        request: Request<proto::GetExperimentByNameRequest>,
    ) -> Reply<proto::GetExperimentByNameResponse> {
        let (caller, request) = Caller::accept(request)?;
        let display_name = required("experiment_name", &request.experiment_name)?;
        let call = caller.list();
        self.app.ensure_default(&call, caller.project()).await.map_err(translated)?;
        self.app.settle(&call).await.map_err(translated)?;
        let found = self.app.query().experiment_by_display_name(caller.project(), display_name).await;
        let Some(record) = found.map_err(|fault| translated(fault.into()))? else {
            let message = format!("Could not find experiment with name '{display_name}'");
            return Err(caller.hidden(ErrorCode::ResourceDoesNotExist.says(message)));
        };
        caller.allow(record.name.name())?;
        Ok(Response::new(proto::GetExperimentByNameResponse { experiment: Some(experiment(record)) }))
    }

    async fn delete_experiment(
        &self,
        request: Request<proto::DeleteExperimentRequest>,
    ) -> Reply<proto::DeleteExperimentResponse> {
        let (caller, request) = Caller::accept(request)?;
        let id = required("experiment_id", &request.experiment_id)?;
        let (name, call) = caller.experiment(id)?;
        if self.app.experiment(&call, &name).await.map_err(translated)?.is_deleted {
            return Err(unknown(id));
        }
        let made = self.app.delete_experiment(&call, &name, Expected::Any).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::DeleteExperimentResponse {}, made.position))
    }

    async fn restore_experiment(
        &self,
        request: Request<proto::RestoreExperimentRequest>,
    ) -> Reply<proto::RestoreExperimentResponse> {
        let (caller, request) = Caller::accept(request)?;
        let id = required("experiment_id", &request.experiment_id)?;
        let (name, call) = caller.experiment(id)?;
        if !self.app.experiment(&call, &name).await.map_err(translated)?.is_deleted {
            return Err(unknown(id));
        }
        let made = self.app.restore_experiment(&call, &name, Expected::Any).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::RestoreExperimentResponse {}, made.position))
    }

    async fn update_experiment(
        &self,
        request: Request<proto::UpdateExperimentRequest>,
    ) -> Reply<proto::UpdateExperimentResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.experiment(required("experiment_id", &request.experiment_id)?)?;
        let display_name = Some(display_name("new_name", &request.new_name)?.to_owned());
        let change = ExperimentChange { display_name, ..ExperimentChange::default() };
        let made = self.app.change_experiment(&call, &name, Expected::Any, change).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::UpdateExperimentResponse {}, made.position))
    }

    async fn set_experiment_tag(
        &self,
        request: Request<proto::SetExperimentTagRequest>,
    ) -> Reply<proto::SetExperimentTagResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.experiment(required("experiment_id", &request.experiment_id)?)?;
        let key = required("key", &request.key)?;
        check_key("key", key)?;
        let value = request.value.clone().unwrap_or_default();
        if value.chars().count() > EXPERIMENT_TAG_CHARS_MAX {
            return Err(invalid(format!(
                "'value' exceeds the maximum length of {EXPERIMENT_TAG_CHARS_MAX} characters"
            )));
        }
        let set_tags = [(key.to_owned(), value)].into();
        let change = ExperimentChange { set_tags, ..ExperimentChange::default() };
        let made = self.app.change_experiment(&call, &name, Expected::Any, change).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::SetExperimentTagResponse {}, made.position))
    }

    async fn delete_experiment_tag(
        &self,
        request: Request<proto::DeleteExperimentTagRequest>,
    ) -> Reply<proto::DeleteExperimentTagResponse> {
        let (caller, request) = Caller::accept(request)?;
        let id = required("experiment_id", &request.experiment_id)?;
        let (name, call) = caller.experiment(id)?;
        let key = required("key", &request.key)?;
        if !self.app.experiment(&call, &name).await.map_err(translated)?.tags.contains_key(key) {
            let message = format!("No tag with name: {key} in experiment with id {id}");
            return Err(ErrorCode::ResourceDoesNotExist.says(message));
        }
        let change = ExperimentChange { delete_tags: vec![key.to_owned()], ..ExperimentChange::default() };
        let made = self.app.change_experiment(&call, &name, Expected::Any, change).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::DeleteExperimentTagResponse {}, made.position))
    }
}

/// Which lifecycle is wanted: the active ones, unless said otherwise.
pub(super) fn lifecycle(view_type: Option<i32>) -> LifecycleFilter {
    match view_type.and_then(|number| proto::ViewType::try_from(number).ok()) {
        Some(proto::ViewType::DeletedOnly) => LifecycleFilter::Deleted,
        Some(proto::ViewType::All) => LifecycleFilter::All,
        _ => LifecycleFilter::Active,
    }
}

/// A search that was not understood, as clients are told.
pub(super) fn said(fault: crate::search::SearchFault) -> Status {
    translated(cairn_service::Refusal::of(&fault))
}

fn display_name<'a>(parameter: &str, name: &'a Option<String>) -> Result<&'a str, Status> {
    let name = required(parameter, name)?;
    if name.chars().count() > EXPERIMENT_DISPLAY_NAME_CHARS_MAX {
        return Err(invalid(format!(
            "'{parameter}' exceeds the maximum length of {EXPERIMENT_DISPLAY_NAME_CHARS_MAX} characters"
        )));
    }
    Ok(name)
}

/// Deleting what is deleted, or restoring what is not, finds nothing in MLflow's eyes.
fn unknown(id: &str) -> Status {
    ErrorCode::ResourceDoesNotExist.says(format!("No Experiment with id={id} exists"))
}
