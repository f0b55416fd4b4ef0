use cairn_kernel::Expected;
use cairn_service::Reply;
use proto::mlflow_logged_model_service_server::MlflowLoggedModelService;
use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::convert::logged_model;
use super::entries::{params, tags};
use super::experiments::said;
use super::fault::{ErrorCode, invalid, missing, translated};
use super::required::{page_size, required};
use super::{Mlflow, proto};
use crate::app::ModelDraft;
use crate::query::LoggedModelSearch;
use crate::search::{logged_model_filter, logged_model_order};

/// Logged models on one page, unless the caller says otherwise, and at most.
const PAGE_DEFAULT: i32 = 50;
const PAGE_MAX: usize = 100;

#[tonic::async_trait]
impl MlflowLoggedModelService for Mlflow {
    async fn create_logged_model(
        &self,
        request: Request<proto::CreateLoggedModelRequest>,
    ) -> Reply<proto::CreateLoggedModelResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (experiment, call) = caller.experiment(required("experiment_id", &request.experiment_id)?)?;
        let draft = ModelDraft {
            display_name: display_name(request.name)?,
            source_run: request.source_run_id.unwrap_or_default(),
            model_type: request.model_type.unwrap_or_default(),
            artifact_location: String::new(),
            params: params(request.params)?,
            tags: tags(request.tags)?,
        };
        let made = self.app.create_logged_model(&call, &experiment, draft).await.map_err(translated)?;
        let answer = proto::CreateLoggedModelResponse { model: Some(logged_model(made.value)) };
        Ok(caller.ctx().reply(answer, made.position))
    }

    async fn finalize_logged_model(
        &self,
        request: Request<proto::FinalizeLoggedModelRequest>,
    ) -> Reply<proto::FinalizeLoggedModelResponse> {
        let (caller, request) = Caller::accept(request)?;
        let is_ready = match request.status.and_then(|number| proto::LoggedModelStatus::try_from(number).ok()) {
            Some(proto::LoggedModelStatus::LoggedModelReady) => true,
            Some(proto::LoggedModelStatus::LoggedModelUploadFailed) => false,
            None | Some(proto::LoggedModelStatus::Unspecified) => return Err(missing("status")),
            Some(proto::LoggedModelStatus::LoggedModelPending) => {
                return Err(invalid("a logged model is finalized as LOGGED_MODEL_READY or LOGGED_MODEL_UPLOAD_FAILED"));
            }
        };
        let (name, call) = caller.logged_model(&self.app, &request.model_id).await?;
        let made = self.app.finalize_logged_model(&call, &name, Expected::Any, is_ready).await.map_err(translated)?;
        let answer = proto::FinalizeLoggedModelResponse { model: Some(logged_model(made.value)) };
        Ok(caller.ctx().reply(answer, made.position))
    }

    async fn get_logged_model(
        &self,
        request: Request<proto::GetLoggedModelRequest>,
    ) -> Reply<proto::GetLoggedModelResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.logged_model(&self.app, &request.model_id).await?;
        let record = self.app.logged_model(&call, &name).await.map_err(translated)?;
        Ok(Response::new(proto::GetLoggedModelResponse { model: Some(logged_model(record)) }))
    }

    async fn delete_logged_model(
        &self,
        request: Request<proto::DeleteLoggedModelRequest>,
    ) -> Reply<proto::DeleteLoggedModelResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.logged_model(&self.app, &request.model_id).await?;
        let made = self.app.delete_logged_model(&call, &name, Expected::Any).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::DeleteLoggedModelResponse {}, made.position))
    }

    async fn search_logged_models(
        &self,
        request: Request<proto::SearchLoggedModelsRequest>,
    ) -> Reply<proto::SearchLoggedModelsResponse> {
        let (caller, request) = Caller::accept(request)?;
        if request.experiment_ids.is_empty() {
            return Err(missing("experiment_ids"));
        }
        let order: Vec<String> = request.order_by.iter().map(term).collect::<Result<_, _>>()?;
        let datasets = request.datasets.into_iter().map(|dataset| {
            let name = required("datasets[].dataset_name", &dataset.dataset_name)?.to_owned();
            Ok((name, dataset.dataset_digest.unwrap_or_default()))
        });
        let search = LoggedModelSearch {
            project: caller.project().clone(),
            experiments: Some(request.experiment_ids),
            visible: caller.visible(),
            filter: logged_model_filter(request.filter.as_deref().unwrap_or_default()).map_err(said)?,
            datasets: datasets.collect::<Result<_, Status>>()?,
            order: logged_model_order(&order).map_err(said)?,
            limit: page_size(request.max_results.unwrap_or(PAGE_DEFAULT).into(), i64::from(i32::MAX))?.min(PAGE_MAX),
            page_token: request.page_token.unwrap_or_default(),
        };
        self.app.settle(&caller.list()).await.map_err(translated)?;
        let page = self.app.query().search_logged_models(search).await.map_err(|fault| translated(fault.into()))?;
        Ok(Response::new(proto::SearchLoggedModelsResponse {
            models: page.models.into_iter().map(logged_model).collect(),
            next_page_token: Some(page.next_page_token).filter(|token| !token.is_empty()),
        }))
    }

    async fn set_logged_model_tags(
        &self,
        request: Request<proto::SetLoggedModelTagsRequest>,
    ) -> Reply<proto::SetLoggedModelTagsResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.logged_model(&self.app, &request.model_id).await?;
        let set = tags(request.tags)?;
        let made = self.app.tag_logged_model(&call, &name, Expected::Any, set, vec![]).await.map_err(translated)?;
        // As MLflow's server: the answer says nothing of the model.
        Ok(caller.ctx().reply(proto::SetLoggedModelTagsResponse { model: None }, made.position))
    }

    async fn delete_logged_model_tag(
        &self,
        request: Request<proto::DeleteLoggedModelTagRequest>,
    ) -> Reply<proto::DeleteLoggedModelTagResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.logged_model(&self.app, &request.model_id).await?;
        let record = self.app.logged_model(&call, &name).await.map_err(translated)?;
        let key = request.tag_key;
        if !record.tags.contains_key(&key) {
            let message = format!("No tag with key '{key}' found for model with ID '{}'.", name.model());
            return Err(ErrorCode::ResourceDoesNotExist.says(message));
        }
        let made = self.app.tag_logged_model(&call, &name, Expected::Any, [].into(), vec![key]).await;
        let made = made.map_err(translated)?;
        Ok(caller.ctx().reply(proto::DeleteLoggedModelTagResponse {}, made.position))
    }

    async fn log_logged_model_params(
        &self,
        request: Request<proto::LogLoggedModelParamsRequest>,
    ) -> Reply<proto::LogLoggedModelParamsResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.logged_model(&self.app, &request.model_id).await?;
        let params = params(request.params)?;
        let made = self.app.log_logged_model_params(&call, &name, params).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::LogLoggedModelParamsResponse {}, made.position))
    }
}

/// A logged model's name, which becomes part of addresses. None: one is made up.
fn display_name(name: Option<String>) -> Result<String, Status> {
    let name = name.unwrap_or_default();
    if name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Err(invalid(format!(
            "Invalid model name ('{name}') provided. Model name must be a non-empty string and cannot contain the \
             following characters: ('/', ':', '.', '%', '\"', \"'\")"
        )));
    }
    Ok(name)
}

/// A term of an order, as the filter language spells it.
fn term(order: &proto::LoggedModelSearchOrderBy) -> Result<String, Status> {
    let field = required("order_by[].field_name", &order.field_name)?;
    let field = match field.split_once('.') {
        Some((entity, key)) => format!("{entity}.`{key}`"),
        None => field.to_owned(),
    };
    let field = match field.as_str() {
        "creation_timestamp" | "creation_timestamp_ms" => "creation_time".to_owned(),
        "last_updated_timestamp" | "last_updated_timestamp_ms" => "last_update_time".to_owned(),
        _ => field,
    };
    Ok(format!("{field} {}", if order.ascending.unwrap_or(true) { "ASC" } else { "DESC" }))
}
